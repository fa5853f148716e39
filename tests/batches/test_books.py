import asyncio
from collections import Counter

import pytest
import redis.asyncio
from msgspec.structs import replace

from batches.books import Books, Tally, Task
from core.chat import PictureWish
from core.errors import Conflict, IdempotencyKeyReused, NotFound, StoreUnavailable, TooManyBatches
from core.secret import Secret
from engine.service import Batch, Outcome
from supervisor.jars import Seal
from tests.support.books import PREFIX, TTL, Backup, Kept, Plain, fault, kept, order, result


async def test_a_batch_is_taken_in_as_it_was_ordered(books: Kept) -> None:
    """What was ordered can be read back at once, and nothing of it has begun."""
    batch = await books.batch(3, concurrency=2)
    assert batch == await books.books.find(batch.id, "ann")
    assert (batch.state, batch.total, batch.pending, batch.running) == ("queued", 3, 3, 0)
    assert (batch.kind, batch.model, batch.form, batch.concurrency) == ("chat", "m", "text", 2)
    assert (batch.created_at, batch.started_at, batch.ended_at) == (1_000_000.0, None, None)


async def test_tasks_are_claimed_in_the_order_of_their_prompts(books: Kept) -> None:
    """Each task is given out once, with what it needs to be run."""
    wish = PictureWish("16:9", 2048, link=True)
    batch, _ = await books.books.create(order(3, wish=wish))
    tasks = [await books.claim() for _ in range(3)]
    assert [(task.batch, task.index, task.prompt) for task in tasks] == [
        (batch.id, index, f"prompt {index}") for index in range(3)
    ]
    assert (tasks[0].kind, tasks[0].model, tasks[0].wish, tasks[0].caller) == (
        "images",
        "m",
        wish,
        "ann's key",
    )
    assert tasks[0].tries == 0
    idle = await books.idle()
    assert (idle.seconds, idle.full) == (None, False)
    found = await books.books.find(batch.id, None)
    assert (found.state, found.running, found.pending, found.started_at) == ("running", 3, 3, 1_000_000.0)


async def test_ended_tasks_are_told_by_index_and_in_the_order_of_their_ends(books: Kept) -> None:
    """Results and errors come by index; numbers follow the order in which tasks ended."""
    batch = await books.batch(4)
    tasks = [await books.claim() for _ in range(4)]
    for index in (2, 0, 3):
        assert await books.finish(tasks[index], ok=index != 0)
    found = await books.books.find(batch.id, "ann")
    assert (found.completed, found.failed, found.pending, found.state) == (2, 1, 1, "running")
    assert [outcome.index for outcome in await books.results(found)] == [2, 3]
    assert [(outcome.index, outcome.code) for outcome in await books.errors(found)] == [(0, "content_filter")]
    since = await books.books.since(batch.id, 0)
    assert [(entry.number, entry.outcome.index) for entry in since] == [(1, 2), (2, 0), (3, 3)]
    assert [entry.number for entry in await books.books.since(batch.id, 2)] == [3]


async def test_what_is_told_is_what_was_counted(books: Kept) -> None:
    """Outcomes are read as of the moment at which the batch was, however many have ended since."""
    batch = await books.batch(3)
    tasks = [await books.claim() for _ in range(3)]
    await books.finish(tasks[1])
    then = await books.books.find(batch.id, "ann")
    await books.finish(tasks[0])
    await books.finish(tasks[2])
    assert [outcome.index for outcome in await books.results(then)] == [1]


@pytest.mark.parametrize(
    ("good", "bad", "state"), [(2, 0, "completed"), (1, 1, "completed"), (0, 2, "failed")]
)
async def test_a_batch_ends_with_its_last_task(books: Kept, good: int, bad: int, state: str) -> None:
    """Then it says when, keeps no prompt, and expires."""
    batch = await books.batch(2)
    for n in range(2):
        await books.pass_(1)
        await books.finish(await books.claim(), ok=n < good)
    found = await books.books.find(batch.id, "ann")
    assert (found.state, found.completed, found.failed) == (state, good, bad)
    assert (found.ended_at, found.expires_at) == (1_000_002.0, 1_003_602.0)
    assert await books.keys() == {
        f"b:{batch.id}", f"ended:{batch.id}", f"outcomes:{batch.id}", "all", "of:ann", "expiring", "workers", "turns",
        "heard", "running", "pending",
    }  # fmt: skip


async def test_a_prompt_goes_when_its_task_has_ended(books: Kept) -> None:
    """What need not be kept is not kept."""
    batch = await books.batch(2)
    await books.finish(await books.claim())
    assert await books.store.hkeys(f"{{gempool-batches}}:prompts:{batch.id}") == [b"1"]


async def test_batches_take_turns(books: Kept) -> None:
    """A batch of many does not keep another waiting."""
    first, second = await books.batch(50), await books.batch(2)
    assert [(await books.claim()).batch for _ in range(5)] == [
        first.id, second.id, first.id, second.id, first.id,
    ]  # fmt: skip


async def test_no_more_run_at_once_than_the_batch_may_have(books: Kept) -> None:
    """A batch that is full lets others by, and goes on when one of its own has ended."""
    full, other = await books.batch(5, concurrency=2), await books.batch(1)
    tasks = [await books.claim() for _ in range(3)]
    assert Counter(task.batch for task in tasks) == {full.id: 2, other.id: 1}
    await books.idle()
    await books.finish(tasks[0])
    assert (await books.claim()).batch == full.id


async def test_no_more_run_at_once_than_the_limit_over_all_workers(books: Kept) -> None:
    """The limit counts the tasks of all workers."""
    await books.batch(9)
    first = await books.claim("a", limit=2)
    await books.claim("b", limit=2)
    idle = await books.idle("a", limit=2)
    assert idle.full
    await books.finish(first, "a")
    await books.claim("b", limit=2)


async def test_a_task_that_is_tried_again_waits_and_counts(books: Kept) -> None:
    """The wait is told, nobody gets the task before, and then it knows its tries. Other tasks go on meanwhile."""
    batch = await books.batch(2)
    task = await books.claim()
    assert await books.books.again("w", task, 2.0, counted=True)
    other = await books.claim()
    assert other.index == 1
    idle = await books.idle()
    assert idle.seconds == 2.0
    await books.pass_(1.999)
    await books.idle()
    await books.pass_(0.001)
    again = await books.claim()
    assert (again.batch, again.index, again.tries, again.prompt) == (batch.id, 0, 1, "prompt 0")
    assert again.token != task.token


async def test_a_task_that_comes_back_holds_its_batch(books: Kept) -> None:
    """Where no account is free nothing of that batch is claimed for a while, no try is counted, and the reason is told
    until a task has ended. Other batches go on."""
    held, other = await books.batch(2), await books.batch(1)
    task = await books.claim()
    assert await books.books.again("w", task, 5.0, counted=False, why="No account is free.")
    found = await books.books.find(held.id, "ann")
    assert (found.why, found.running, found.pending) == ("No account is free.", 0, 2)
    assert (await books.claim()).batch == other.id
    assert (await books.idle()).seconds == 5.0
    await books.pass_(5)
    again = await books.claim()
    assert (again.batch, again.index, again.tries) == (held.id, 0, 0)
    await books.finish(again)
    assert (await books.books.find(held.id, "ann")).why == ""


async def test_a_hold_is_never_shortened(books: Kept) -> None:
    """The later end wins."""
    await books.batch(2)
    first, second = await books.claim(), await books.claim()
    await books.books.again("w", first, 5.0, counted=False)
    await books.books.again("w", second, 1.0, counted=False)
    assert (await books.idle()).seconds == 5.0


async def test_tasks_of_a_silent_worker_come_back(books: Kept) -> None:
    """Another gets them once the ttl has passed, and the dead worker's run counts as a try."""
    batch = await books.batch(1)
    lost = await books.claim("dead")
    for _ in range(5):
        await books.pass_(1)
        await books.books.beat("alive", TTL)
    await books.idle("alive")
    await books.pass_(0.001)
    await books.books.beat("alive", TTL)
    again = await books.claim("alive")
    assert (again.batch, again.index, again.tries) == (batch.id, 0, 1)
    assert not await books.finish(lost, "dead")
    assert not await books.finish(lost, "dead", ok=False)
    assert not await books.books.again("dead", lost, 0, counted=True)
    assert await books.finish(again, "alive")
    assert [outcome.tries for outcome in await books.results(await books.books.find(batch.id, None))] == [2]


async def test_a_worker_that_is_heard_keeps_its_tasks(books: Kept) -> None:
    """A sign of life is enough, for as long as a task takes."""
    await books.batch(1)
    task = await books.claim("slow")
    for _ in range(100):
        await books.pass_(2)
        await books.books.beat("slow", TTL)
        await books.books.beat("other", TTL)
    await books.idle("other")
    assert await books.finish(task, "slow")


async def test_nobody_is_dead_because_the_store_was_away(books: Kept) -> None:
    """Where none was heard for a while, all get their time anew; who is dead even so is found out afterwards."""
    await books.batch(2)
    mine, others = await books.claim("mine"), await books.claim("dead")
    await books.pass_(60)
    await books.books.beat("other", TTL)
    assert await books.finish(mine, "mine")
    for _ in range(5):
        await books.pass_(1)
        await books.books.beat("other", TTL)
    await books.pass_(0.001)
    await books.books.beat("other", TTL)
    assert (await books.claim("other")).index == others.index
    assert not await books.finish(others, "dead")


async def test_a_worker_that_leaves_hands_its_tasks_back(books: Kept) -> None:
    """At once and uncounted; where it is known to have died, counted."""
    await books.batch(40)
    for _ in range(40):
        await books.claim("w")
    assert await books.books.leave("w") == 40
    tasks = [await books.claim("w") for _ in range(40)]
    assert {task.tries for task in tasks} == {0}
    assert await books.books.leave("w", died=True) == 40
    assert (await books.claim("w")).tries == 1
    assert await books.books.leave("nobody") == 0


async def test_an_end_is_written_once(books: Kept) -> None:
    """A repeated command changes nothing, whatever it says."""
    batch = await books.batch(2)
    task = await books.claim()
    assert await books.finish(task)
    assert await books.finish(task)
    await books.finish(task, ok=False)
    assert not await books.books.again("w", task, 1.0, counted=True)
    found = await books.books.find(batch.id, None)
    assert (found.completed, found.failed, found.pending) == (1, 0, 1)


async def test_a_late_end_counts_while_nobody_else_runs_the_task(books: Kept) -> None:
    """A worker that was taken for dead, and is not, has not worked for nothing; once another has the task, it has."""
    batch = await books.batch(3)
    tasks = [await books.claim("late") for _ in range(3)]
    await books.books.leave("late", died=True)
    assert await books.finish(tasks[2], "late")
    other = await books.claim("other")
    assert other.index == 0
    assert not await books.finish(tasks[0], "late")
    await books.finish(other, "other")
    await books.books.cancel(batch.id, "ann")
    assert not await books.finish(tasks[1], "late")
    found = await books.books.find(batch.id, None)
    assert (found.completed, found.cancelled, found.state) == (2, 1, "cancelled")
    assert await books.books.beat("", 0) == Tally(0, 0, 0)


async def test_a_store_that_has_forgotten_claims_takes_their_ends(books: Kept) -> None:
    """It was killed before it had written them down: what has run since need not run again, and nothing before it is
    forgotten."""
    batch = await books.batch(6)
    before = await Backup.made(books.store)
    tasks = [await books.claim() for _ in range(5)]
    await books.finish(tasks[0])
    await before.restore(books.store)
    assert await books.finish(tasks[3])
    assert await books.finish(tasks[0])
    assert await books.finish(tasks[0])
    left = [(await books.claim()).index for _ in range(4)]
    assert left == [1, 2, 4, 5]
    found = await books.books.find(batch.id, None)
    assert (found.completed, found.running, found.pending) == (2, 4, 4)


async def test_what_waits_never_runs_once_its_batch_is_cancelled(books: Kept) -> None:
    """What runs may finish, and then the batch has ended."""
    batch = await books.batch(10)
    running = [await books.claim() for _ in range(3)]
    await books.finish(running.pop())
    await books.books.again("w", running.pop(), 1.0, counted=True)
    found, now = await books.books.cancel(batch.id, "ann")
    assert now
    assert (found.state, found.completed, found.cancelled, found.running, found.pending) == (
        "cancelling",
        1,
        8,
        1,
        1,
    )
    await books.pass_(10)
    await books.idle()
    await books.finish(running.pop())
    found = await books.books.find(batch.id, "ann")
    assert (found.state, found.completed, found.cancelled, found.pending) == ("cancelled", 2, 8, 0)
    assert found.ended_at == books.now


@pytest.mark.parametrize("counted", [True, False])
async def test_a_cancelled_task_that_fails_is_not_tried_again(books: Kept, counted: bool) -> None:
    """It counts as cancelled, as one that never ran does."""
    batch = await books.batch(1)
    task = await books.claim()
    await books.books.cancel(batch.id, "ann")
    assert await books.books.again("w", task, 1.0, counted=counted)
    found = await books.books.find(batch.id, "ann")
    assert (found.state, found.cancelled, found.pending) == ("cancelled", 1, 0)


async def test_cancelling_twice_is_told(books: Kept) -> None:
    """The second time changes nothing; what has ended otherwise cannot be cancelled."""
    batch, other = await books.batch(2), await books.batch(1)
    assert (await books.books.cancel(batch.id, "ann"))[1]
    found, now = await books.books.cancel(batch.id, "ann")
    assert not now
    assert found.state == "cancelled"
    await books.finish(await books.claim())
    with pytest.raises(Conflict, match="completed"):
        await books.books.cancel(other.id, "ann")


async def test_a_batch_is_its_owners_alone(books: Kept) -> None:
    """For others it is not there; the operator sees all."""
    batch = await books.batch(1, owner="ann")
    mine = await books.batch(1, owner="bob")
    for call in (books.books.find(batch.id, "bob"), books.books.cancel(batch.id, "bob")):
        with pytest.raises(NotFound, match=batch.id):
            await call
    assert (await books.books.find(batch.id, None)).id == batch.id
    assert [found.id for found in (await books.books.listed("bob", limit=9)).batches] == [mine.id]
    assert (await books.books.listed(None, limit=9)).total == 2
    with pytest.raises(NotFound):
        await books.books.listed("bob", limit=9, after=batch.id)


async def test_batches_are_listed_newest_first_in_pages(books: Kept) -> None:
    """Pages follow one another without a gap, whatever comes meanwhile."""
    ids = []
    for _ in range(7):
        await books.pass_(1)
        ids.append((await books.batch(1)).id)
    ids.reverse()
    page = await books.books.listed("ann", limit=3)
    assert ([batch.id for batch in page.batches], page.total, page.more) == (ids[:3], 7, True)
    await books.pass_(1)
    await books.batch(1)
    page = await books.books.listed("ann", limit=3, after=ids[2])
    assert [batch.id for batch in page.batches] == ids[3:6]
    page = await books.books.listed("ann", limit=3, after=ids[5])
    assert ([batch.id for batch in page.batches], page.more) == (ids[6:], False)
    assert (await books.books.listed("ann", limit=3, after=ids[6])).batches == ()


async def test_batches_are_listed_by_state(books: Kept) -> None:
    """However many of another state lie between them."""
    wanted = []
    for n in range(130):
        await books.pass_(1)
        batch = await books.batch(1)
        if n % 60 == 0:
            await books.books.cancel(batch.id, "ann")
            wanted.insert(0, batch.id)
    page = await books.books.listed("ann", limit=2, state="cancelled")
    assert ([batch.id for batch in page.batches], page.more) == (wanted[:2], True)
    page = await books.books.listed("ann", limit=2, state="cancelled", after=wanted[1])
    assert ([batch.id for batch in page.batches], page.more) == (wanted[2:], False)


async def test_one_key_stands_for_one_batch(books: Kept) -> None:
    """The same order under the same key is the same batch; another order is refused; another owner's key is another."""
    batch = await books.batch(2, key="k")
    again, new = await books.books.create(order(2, key="k"))
    assert (again.id, new) == (batch.id, False)
    for other in (order(3, key="k"), order(2, key="k", words="other"), order(2, key="k", concurrency=1)):
        with pytest.raises(IdempotencyKeyReused, match="Idempotency-Key"):
            await books.books.create(other)
    assert (await books.batch(2, key="k", owner="bob")).id != batch.id
    assert len([key for key in await books.keys() if key.startswith("prompts:")]) == 2


async def test_a_batch_that_would_be_none_is_known_before(empty_valkey: str) -> None:
    """Of a key that is used, and of too many, one can ask without ordering anything."""
    async with kept(empty_valkey, max_open=2) as books:
        assert await books.books.known(order(2, key="k")) is None
        batch = await books.batch(2, key="k")
        assert await books.books.known(order(2, key="k")) == batch
        with pytest.raises(IdempotencyKeyReused):
            await books.books.known(order(3, key="k"))
        assert await books.books.known(order(3)) is None
        await books.batch(1)
        with pytest.raises(TooManyBatches):
            await books.books.known(order(3))
        assert await books.books.known(order(2, key="k")) == batch
        assert await books.books.known(order(3, owner="bob")) is None


async def test_a_batch_that_was_cancelled_says_so(books: Kept) -> None:
    """Also where all that ran has ended well: nothing else would tell that it was cancelled."""
    batch = await books.batch(1)
    task = await books.claim()
    await books.books.cancel(batch.id, "ann")
    await books.finish(task)
    found, now = await books.books.cancel(batch.id, "ann")
    assert (found.state, found.completed, found.cancelled, now) == ("cancelled", 1, 0, False)


async def test_many_at_once_under_one_key_are_one_batch(books: Kept) -> None:
    """Whoever comes first takes it in, and the others are told which it is."""
    found = await asyncio.gather(*(books.books.create(order(3, key="k")) for _ in range(20)))
    assert len({batch.id for batch, _ in found}) == 1
    assert sum(new for _, new in found) == 1
    assert (await books.books.beat("", 0)).waiting == 3


async def test_an_owner_has_so_many_unfinished_batches(empty_valkey: str) -> None:
    """One more is refused with the number, leaves nothing behind, and is taken in when one has ended."""
    async with kept(empty_valkey, max_open=2) as books:
        first = await books.batch(1)
        await books.batch(1)
        before = await books.keys()
        with pytest.raises(TooManyBatches, match="2 unfinished"):
            await books.books.create(order(1))
        assert await books.keys() == before
        await books.batch(1, owner="bob")
        await books.books.cancel(first.id, "ann")
        await books.batch(1)


async def test_an_ended_batch_is_forgotten(books: Kept) -> None:
    """Once its time has passed nothing of it is left."""
    batch = await books.batch(1, key="k")
    await books.finish(await books.claim())
    of_it = [key for key in await books.keys() if batch.id in key or key.startswith("key:")]
    assert len(of_it) == 4
    for key in of_it:
        # Keys expire by the store's own clock, which is not the test's.
        assert 3_590_000 < await books.store.pttl(PREFIX + key) <= 3_600_000
        await books.store.delete(PREFIX + key)
    with pytest.raises(NotFound):
        await books.books.find(batch.id, None)
    await books.pass_(3601)
    await books.books.beat("", TTL)
    assert (await books.books.listed(None, limit=9)).total == 0
    assert await books.keys() == {"workers", "turns", "heard", "running", "pending"}


class _Dying(Plain):
    """Seals so many, and then no more."""

    def __init__(self, most: int) -> None:
        self.left = most

    def close(self, name: str, text: str) -> str:
        if not self.left:
            raise MemoryError
        self.left -= 1
        return text


async def test_prompts_of_a_batch_that_never_came_go_by_themselves(empty_valkey: str, books: Kept) -> None:
    """A creator that dies halfway leaves nothing for long, and no batch."""
    dying = Books(empty_valkey, _Dying(5000), keep=60, max_open=9)
    with pytest.raises(MemoryError):
        await dying.create(order(6000))
    await dying.close()
    [left] = [key for key in await books.keys() if key.startswith("prompts:")]
    assert 0 < await books.store.pttl(PREFIX + left) <= 600_000
    assert (await books.books.listed(None, limit=9)).total == 0


async def test_how_much_there_is_to_do_is_told(books: Kept) -> None:
    """Over all batches and workers."""
    await books.batch(3)
    gone = await books.batch(4)
    await books.claim("a")
    task = await books.claim("b")
    tally = await books.books.beat("a", TTL)
    assert (tally.open, tally.waiting, tally.running) == (2, 5, 2)
    await books.books.cancel(gone.id, "ann")
    await books.finish(task, "b")
    tally = await books.books.beat("", 0)
    assert (tally.open, tally.waiting, tally.running) == (1, 2, 1)


async def test_changes_are_news(books: Kept) -> None:
    """Whoever listens hears the id of each batch that changes."""
    news = books.books.news()
    assert await anext(news) == ""
    batch = await books.batch(1)
    assert await anext(news) == batch.id
    task = await books.claim()
    assert await anext(news) == batch.id
    await books.finish(task)
    assert await anext(news) == batch.id
    await news.aclose()


async def test_prompts_and_outcomes_are_sealed(empty_valkey: str) -> None:
    """With a state key nothing in the store is in clear words; without it, or with another, they are told as unreadable."""
    books = Books(empty_valkey, Seal(Secret("a key")), keep=60, max_open=9)
    batch, _ = await books.create(order(2, words="moonlit harbour"))
    task = await books.claim("w", TTL, 9)
    assert isinstance(task, Task)
    assert task.prompt == "moonlit harbour 0"
    await books.finish("w", task, result(task))
    await books.close()
    store = redis.asyncio.Redis.from_url(empty_valkey)
    lying = [await store.dump(key) for key in await store.keys("*")]
    assert not [value for value in lying if value and b"moonlit" in value]
    await store.aclose()

    for seal in (Seal(Secret("another")), Seal(Secret(""))):
        blind = Books(empty_valkey, seal, keep=60, max_open=9)
        found = await blind.find(batch.id, "ann")
        [[outcome]] = [some async for some in blind.outcomes(found, ok=True)]
        assert outcome.code == "unreadable"
        unread = await blind.claim(f"w-{id(seal)}", TTL, 9)
        assert isinstance(unread, Task)
        assert unread.prompt is None
        await blind.leave(f"w-{id(seal)}")
        await blind.close()


async def test_a_store_that_is_away_is_told_so() -> None:
    """Every method raises the one error for that."""
    books = Books("unix:///nowhere/s", Plain(), keep=60, max_open=9, timeout=0.1)
    task = Task("batch_x", 0, "t", 0, "p", "chat", "m", None, "c")
    for call in (
        books.create(order(1)),
        books.find("x", None),
        books.claim("w", 5, 1),
        books.finish("w", task, result(task)),
        books.again("w", task, 1, counted=True),
        books.beat("w", 5),
        books.leave("w"),
        books.cancel("x", None),
        books.listed(None, limit=1),
        books.since("x", 0),
        anext(books.news()),
    ):
        with pytest.raises(StoreUnavailable):
            await call
    await books.close()


async def test_ten_thousand_prompts_are_a_batch(books: Kept) -> None:
    """Also long ones in any script, which arrive whole."""
    prompts = tuple(f"{index} " + "雪 ❄ " * 50 for index in range(10_000))
    batch, _ = await books.books.create(replace(order(), prompts=prompts))
    assert batch.total == 10_000
    assert (await books.claim()).prompt == prompts[0]
    found, _ = await books.books.cancel(batch.id, "ann")
    assert found.cancelled == 9_999


async def test_an_outcome_says_all_that_is_known_of_a_picture(books: Kept) -> None:
    """What was written is what is read."""
    batch = await books.batch(1)
    task = await books.claim()
    picture = Outcome(
        0, 1, 2.5, link="/files/x.png", mime="image/png", width=3, height=2, watermark="removed"
    )
    await books.books.finish("w", task, picture)
    found: Batch = await books.books.find(batch.id, None)
    assert await books.results(found) == [picture]
    assert fault(task).ok is False
