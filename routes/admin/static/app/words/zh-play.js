// See en-play.js.
export default {};
