"""The plan and the budget: what is asked for, what it costs, how long it takes, and what may not be passed."""

import base64
import hashlib
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import loopback
from burnish.errors import InputError, UnfinishedError
from burnish.synthesis.budget import Budget, Caps, Price
from burnish.synthesis.prompt import Question
from burnish.synthesis.replies import Reply, ReplyStore
from burnish.synthesis.service import Service
from burnish.synthesis.tickets import Ticket
from burnish.synthesis.tokens import TokenCounter, most_tokens, token_counter
from handmade import PROMPT, SUBJECTS, VARIED, corpus, judge, made, plan, questions, record, settings
from loopback import fails, says, serving

PRICES = {"m": Price(input=1.0, output=2.0), "j": Price(input=10.0, output=20.0)}
GOOD = '{"queries": ["what is it made of"]}'


def pay(folder: Path, names: list[str], usage: dict[str, int] | None) -> None:
    """Keep replies as if they had been paid for."""
    with ReplyStore(folder / "store") as store:
        for one in questions(corpus(), settings()):
            if one.request["document_id"] in names:
                store.put(Reply(one.request, "ok", GOOD, usage))


def test_the_plan_counts_what_is_there_and_what_is_missing(tmp_path: Path) -> None:
    """Recorded replies, paid ones, and those to ask for; nothing is written."""
    record(tmp_path / "recorded", corpus(), {"Frames": GOOD})
    pay(tmp_path, ["Joins", "Paths"], None)
    before = sorted(tmp_path.rglob("*"))
    (part,) = plan(tmp_path, corpus(), settings(prices=PRICES)).parts
    assert part.found == {"replayed": 1, "from_store": 2, "without_reply": 9}
    assert part.asked == 9
    assert sorted(tmp_path.rglob("*")) == before


def test_no_note_of_a_batch_stops_a_replay(tmp_path: Path) -> None:
    """Where nobody is asked, a note that cannot be read does not matter."""
    (tmp_path / "store/batches").mkdir(parents=True)
    (tmp_path / "store/batches/note.json").touch()
    service = Service("http://127.0.0.1:9/v1", 30, 2, store=tmp_path / "store")
    assert plan(tmp_path, corpus(), settings(provider="replay", service=service)).parts[0].asked == 12
    with pytest.raises(InputError, match="expected a note of a batch"):
        plan(tmp_path, corpus(), settings(provider="openai", service=service))


def test_what_reads_the_same_is_asked_once(tmp_path: Path) -> None:
    """Two documents of one text are one request."""
    twice = corpus(2).with_columns(title=pl.lit("T"), text=pl.lit("The same text."))
    (part,) = plan(tmp_path, twice, settings()).parts
    assert (part.found["without_reply"], part.asked) == (2, 1)


def test_tokens_out_are_those_of_the_replies_that_there_are(tmp_path: Path) -> None:
    """What the service told first, else the recorded texts, else the most."""
    (none,) = plan(tmp_path, corpus(), settings()).parts
    assert none.tokens_out == none.most_out == len(SUBJECTS) * 100
    record(tmp_path / "recorded", corpus(), {"Frames": GOOD})
    (text,) = plan(tmp_path, corpus(), settings()).parts
    assert text.tokens_out == 11 * -(-len(GOOD) // 4)
    pay(tmp_path, ["Joins", "Paths"], {"input": 50, "output": 40})
    (told,) = plan(tmp_path, corpus(), settings()).parts
    assert told.tokens_out == 9 * 40
    assert "2 replies, as the service told" in told.expected


def test_the_price_is_tokens_times_the_table(tmp_path: Path) -> None:
    """Input and output apart; half of it by batch; without a price it is said to be unknown."""
    found = plan(tmp_path, corpus(), settings(prices=PRICES))
    (part,) = found.parts
    assert found.dollars()[1] == pytest.approx((part.tokens_in * 1.0 + len(SUBJECTS) * 100 * 2.0) / 1e6)
    half = plan(tmp_path, corpus(), settings(prices=PRICES, share=0.5))
    assert half.dollars()[0] == pytest.approx(found.dollars()[0] / 2)
    assert "price: unknown" in plan(tmp_path, corpus(), settings()).told()


@pytest.mark.parametrize(
    ("service", "seconds"),
    [
        (Service("", 60, 4), 12 * 4 / 4),
        (Service("", 60, 4, requests_per_minute=6), 120),
        (Service("", 60, 4, requests_per_minute=6, tokens_per_minute=60), None),
    ],
)
def test_the_time_is_the_strictest_rates(tmp_path: Path, service: Service, seconds: float | None) -> None:
    """Twelve requests: by concurrency at four seconds each, by requests a minute, by tokens a minute."""
    found = plan(tmp_path, corpus(), settings(service=service))
    (part,) = found.parts
    assert found.seconds() == pytest.approx(part.tokens_in + part.tokens_out if seconds is None else seconds)


def test_the_judge_is_in_the_plan(tmp_path: Path) -> None:
    """One request for each excerpt, those without queries yet included."""
    record(tmp_path / "recorded", corpus(), {"Frames": GOOD})
    queries, verdicts = plan(tmp_path, corpus(), settings(judge=judge(7), prices=PRICES)).parts
    assert (queries.asked, verdicts.asked, verdicts.model) == (11, 12, "j")
    assert verdicts.most_out == 12 * 50


def test_the_plan_says_which_cap_stops_it(tmp_path: Path) -> None:
    """And that replay asks nobody."""
    told = plan(tmp_path, corpus(), settings(prices=PRICES, max_dollars=0.001, max_requests=3)).told()
    assert "max_requests 3 stops it before the end" in told
    assert "max_dollars 0.001 would stop it before the end" in told
    assert "replay makes no request" in told
    assert plan(tmp_path, corpus(), settings(provider="extractive")).told().endswith("extractive asks nobody")


# Tokens


def test_tiktoken_is_asked_only_where_it_has_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown model, or an encoding that would have to be fetched: a stated estimate, and no network."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert "tiktoken knows no model llama" in token_counter("llama").how
    assert "o200k_base is not on this machine" in token_counter("gpt-5-mini").how
    assert token_counter("gpt-5-mini").count("12345678") == 2
    assert not list(tmp_path.iterdir())


def test_tiktoken_counts_where_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file in tiktoken's cache its tokens are counted, special ones as text. The file here knows single bytes alone."""
    content = b"".join(base64.b64encode(bytes([one])) + b" %d\n" % one for one in range(256))
    address = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
    (tmp_path / hashlib.sha1(address.encode()).hexdigest()).write_bytes(content)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("tiktoken.load.check_hash", lambda data, expected: True)
    counter = token_counter("gpt-5-mini")
    assert counter.how == "counted by tiktoken, o200k_base"
    assert counter.count("<|endoftext|>") == 13


def test_many_messages_are_counted_by_a_sample() -> None:
    """500 are counted, the rest goes by bytes; each message has seven tokens around it."""
    counted: list[str] = []

    def count(text: str) -> int:
        counted.append(text)
        return len(text)

    assert TokenCounter("", count).total(["ab"] * 2000) == 2000 * (2 + 7)
    assert len(counted) == 500


@pytest.mark.parametrize("text", ["plain", "日本語", "\U0001f600", "a\u0301"])
def test_no_message_has_more_tokens_than_bytes(text: str) -> None:
    """What a request can cost is bounded by its bytes, in any script."""
    assert most_tokens(text) == len(text.encode()) + 7


# The budget


def asked(output: int = 100) -> Question:
    """A question of 10 bytes."""
    return Question("0123456789", {"model": "m", "parameters": {"max_output_tokens": output}, "prompt": {"sha256": ""}})


def test_the_first_questions_that_fit_are_affordable() -> None:
    """A question costs 217 millionths at most: four of them fit into 900."""
    budget = Budget(Caps(1000, 900e-6, PRICES))
    assert len(budget.affordable([asked()] * 9)) == 4
    for _ in range(4):
        budget.charge(Reply({}, "ok", "", {"input": 10, "output": 5}), asked())
    assert budget.dollars == pytest.approx(80e-6)
    assert len(budget.affordable([asked()] * 9)) == 3


def test_a_reply_without_usage_is_charged_at_the_most() -> None:
    """A server that does not tell may have charged as much; one that turned the request down charged nothing."""
    budget = Budget(Caps(1000, 1.0, PRICES))
    budget.charge(Reply({}, "ok", "", None), asked())
    assert budget.dollars == pytest.approx(217e-6)
    budget.charge(Reply({}, "failed-permanently", "", None), asked())
    assert (budget.requests, budget.dollars) == (2, pytest.approx(217e-6))


def test_a_try_whose_answer_was_lost_counts_at_the_most() -> None:
    """The service may have computed it. Another try is begun only if the cap then holds for all that is under way; what others
    cost less than they can affords it later.
    """
    budget = Budget(Caps(1000, 900e-6, PRICES))
    both = [asked(), replace(asked(), request={**asked().request, "model": "m", "excerpt": "2"})]
    assert budget.affordable(both) == both
    budget.begin(both)
    assert [budget.lose(both[0]) for _ in range(3)] == [True, True, False]
    assert budget.dollars == pytest.approx(651e-6)
    assert budget.affordable(both) == both[:1]


def test_requests_in_batches_under_way_are_reserved() -> None:
    """Their replies will come whatever else is asked: what is left of the caps is for others, and they are asked in any case."""
    sent, other = asked(), replace(asked(), request={**asked().request, "excerpt": "2"})
    note = Ticket("mark", "address", {sent.key: sent.request}, tokens_in=17)
    for caps in (Caps(1000, 300e-6, PRICES), Caps(1, None, {})):
        budget = Budget(caps)
        budget.submit([note])
        assert budget.affordable([other, sent]) == [sent]
        budget.charge(Reply(sent.request, "ok", "", {"input": 10, "output": 5}), None)
        assert budget.affordable([other]) == ([other] if caps.max_dollars else [])


def test_requests_are_capped_too() -> None:
    """Whatever they cost."""
    budget = Budget(Caps(3, None, {}))
    assert len(budget.affordable([asked()] * 9)) == 3
    budget.charge(Reply({}, "ok", "", None), asked())
    assert len(budget.affordable([asked()] * 9)) == 2


def test_a_model_without_price_is_an_error_only_under_a_cap() -> None:
    """With the names that have one."""
    Caps(1, None, {}).check(["m"])
    with pytest.raises(InputError, match="found j, m"):
        Caps(1, 1.0, PRICES).check(["m", "other"])


def test_what_a_batch_of_an_earlier_run_brings_is_paid_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch was submitted, then the run died. The next one has a cap that is too small for all of it, and yet asks for nothing
    again; one with another prompt keeps the replies to the first prompt beside its own.
    """
    monkeypatch.setenv("OPENAI_API_KEY", loopback.KEY)
    for prompt in (PROMPT, VARIED):
        store = tmp_path / prompt.file
        with serving() as server:
            server.batch_script = lambda message: (200, loopback.completion(GOOD))
            service = Service(server.url, 30, 2, mode="batch", store=store / "store")
            first = settings(provider="openai", service=service, prices=PRICES)
            server.faults["GET batches"] = [fails(401)]
            with pytest.raises(InputError, match="401"):
                made(store, corpus(), first)
            assert (len(server.batches), sum(server.asked.values())) == (1, 0)
            found = made(store, corpus(), replace(first, prompt=prompt, caps=replace(first.caps, max_dollars=0.01)))
            assert set(server.asked.values()) == {1}
        assert found.counts["from_store"] == len(SUBJECTS)
        assert len(ReplyStore(store / "store")) == sum(server.asked.values()) == len(SUBJECTS) * (1 + (prompt is VARIED))


def test_a_paid_batch_is_fetched_though_no_dollar_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of eight was submitted, then the run died, and four documents came. The next run may spend less than one request
    can cost: it fetches the eight, counts what they cost, and submits nothing.
    """
    monkeypatch.setenv("OPENAI_API_KEY", loopback.KEY)
    with serving() as server:
        server.batch_script = lambda message: (200, loopback.completion(GOOD))
        chosen = settings(provider="openai", service=Service(server.url, 30, 2, mode="batch", store=tmp_path / "store"))
        server.faults["GET batches"] = [fails(401)]
        with pytest.raises(InputError, match="401"):
            made(tmp_path, corpus(8), chosen)
        (part,) = plan(tmp_path, corpus(), chosen).parts
        assert (part.asked, part.submitted) == (4, 8)
        assert "4 requests to make, 8 submitted before" in plan(tmp_path, corpus(), chosen).told()
        with pytest.raises(UnfinishedError, match=r"asked 8 times for \$0\.0001.* 4 replies are still missing"):
            made(tmp_path, corpus(), replace(chosen, caps=Caps(1000, 0.0002, PRICES)))
        assert (len(server.batches), len(ReplyStore(tmp_path / "store"))) == (1, 8)


def test_what_is_in_a_batch_under_way_is_not_asked_by_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mode batch was given up while a batch was under way: nothing is asked, and the error says how to go on. Questions that no
    batch holds are asked.
    """
    monkeypatch.setenv("OPENAI_API_KEY", loopback.KEY)
    with serving(lambda message, before: says(GOOD)) as server:
        server.batch_script = lambda message: (200, loopback.completion(GOOD))
        batches = Service(server.url, 30, 2, mode="batch", store=tmp_path / "store")
        chosen = settings(provider="openai", service=batches)
        single = replace(chosen, service=replace(batches, mode="requests"))
        server.faults["GET batches"] = [fails(401)]
        with pytest.raises(InputError, match="401"):
            made(tmp_path, corpus(8), chosen)
        with pytest.raises(
            InputError, match=r"8 of the replies that are missing .* set it to batch .* remove their notes in .*batches"
        ):
            made(tmp_path, corpus(), single)
        assert not server.asked
        assert made(tmp_path, corpus(8), chosen).counts["from_store"] == 8
        assert made(tmp_path, corpus(), single).counts["from_store"] == len(SUBJECTS)
    assert (set(server.asked.values()), len(server.batches)) == ({1}, 1)


def test_tries_whose_answer_is_lost_are_held_against_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that computes, and charges, answers that do not arrive: whatever it charged, no run passes its cap, and those that
    the cap left no second try for are asked once others turned out to be cheaper.
    """
    monkeypatch.setenv("OPENAI_API_KEY", loopback.KEY)
    cut = ("Joins", "Paths", "Maps")
    with serving(
        lambda message, before: loopback.cuts if any(one in message for one in cut) and not before else says(GOOD)
    ) as server:
        service = Service(server.url, 30, 2, retries=5)
        chosen = settings(provider="openai", service=service, prices=PRICES, max_passages_per_query=12)
        most = max(map(Budget(chosen.caps).most, questions(corpus(), chosen)))
        capped = replace(chosen, caps=replace(chosen.caps, max_dollars=4.5 * most))
        found = made(tmp_path, corpus(), capped)
    assert (found.counts["from_store"], sum(server.asked.values())) == (12, 15)
    assert 3 * most - 1e-4 < found.dollars < 4.5 * most
