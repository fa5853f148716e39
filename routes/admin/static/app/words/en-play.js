// Words of the playground, the batches and the requests. zh-play.js has the same keys.
export default {};
