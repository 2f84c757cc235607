"""A repository small enough to read: 24 documents in four topics, judged queries, a general set, and quick knobs."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from burnish import tables
from burnish.tables import DOCUMENTS as DOCUMENTS_TABLE
from burnish.tables import PASSAGES
from conftest import ROOT

# name | title, the text, and the questions that the language model "writes" for it (their number is synthesize.count).
_DOCUMENTS = """
bread/proving | Proving the dough
Leave the shaped loaf under a damp cloth until it has doubled. A warm kitchen needs one hour, a cold one three. Press a finger
into it: a dent that fills slowly says that the loaf is ready for the oven.
? how long should a loaf rise before baking
? finger dent test

bread/kneading | Kneading
Push the mass away with the heel of the hand, fold it back and turn it a quarter. After ten minutes the gluten has formed strands
and a thin piece held against the light stretches without tearing.
? when is gluten developed enough
? window pane test by hand

bread/starter | Keeping a sourdough starter
Feed the culture with equal weights of rye flour and water each day. It smells of apples when it is healthy and of nail varnish
when it is hungry. In the fridge one feeding a week will do.
? rye culture smells of nail varnish
? how often do I feed sourdough in the fridge

bread/crust | A crust that crackles
Pour a cup of boiling water into a tray on the oven floor as the loaf goes in. The steam keeps the surface soft while it expands;
open the door after fifteen minutes so that it dries and browns.
? steam in the oven for bread
? my loaf is pale and soft outside

bread/salt | How much salt
Two per cent of the flour's weight is usual. Less makes a bland and sticky mass that rises too quickly, more slows the yeast down.
Dissolve coarse crystals in the water first.
? percentage of salt to flour
? yeast slowed down by seasoning

bread/storing | Storing a loaf
Stand it on its cut side in a wooden box. In the refrigerator starch turns stale fastest; sliced and frozen it keeps for a month,
and each slice thaws in the toaster.
? does bread go stale faster in the fridge
? freeze sliced loaf

bicycle/chain | Cleaning the chain
Turn the cranks backwards with a rag around the links, put a drop of oil on each roller, wait a minute and wipe off all that is
visible. Oil on the outside only gathers grit.
? where to put oil on the links
? drivetrain gathers grit

bicycle/puncture | Mending a puncture
Find the hole in the inner tube by holding it under water, roughen the rubber, spread the cement thinly and let it dry before the
patch goes on. Look for the thorn in the tyre before you put it back.
? bubbles in water tube hole
? patch does not stick to rubber

bicycle/brakes | Adjusting rim brakes
Loosen the cable clamp, press both pads against the rim and tighten again. Pads that squeal want toeing in: their front edge
should touch a millimetre before the rear one.
? squealing pads on the rim
? toe in a millimetre

bicycle/gears | Indexing the gears
Shift to the smallest sprocket and turn the barrel adjuster until the jockey wheel stands exactly below it. A derailleur that
hesitates on the way up needs half a turn more tension.
? barrel adjuster half a turn
? hesitates when shifting to bigger sprockets

bicycle/saddle | Saddle height
Sit with the heel on the pedal at its lowest point: the knee should be straight. Too low tires the thighs, too high makes the hips
rock and the toes go numb.
? knee straight heel on pedal
? hips rock while riding

bicycle/lights | Dynamo lights
A hub dynamo makes three watts from walking pace on. The headlamp hangs on two wires whose polarity does not matter; the rear lamp
is fed from the headlamp and stays on at traffic lights by a capacitor.
? three watts hub generator
? rear lamp stays on when standing still

plants/watering | Watering houseplants
Lift the pot: a light one is dry. Soak it from below in a basin for twenty minutes and let it drain, rather than giving a sip each
day, which rots the roots at the top and leaves those below parched.
? soak the pot from below
? roots rot from daily sips

plants/light | Where plants stand
Succulents want the south window, ferns the north one. A plant that leans and grows long pale shoots asks for more sun; brown
patches in the middle of leaves say that it has had too much.
? long pale shoots leaning
? which window for ferns

plants/repotting | Repotting
In spring, when roots circle the bottom, take a pot two centimetres wider. A much larger one stays wet and sour. Break the crust
of old soil, set the crown as deep as before and wait a week before watering.
? roots circling the bottom
? how much wider should the next pot be

plants/cuttings | Taking cuttings
Cut below a node, strip the lower leaves and stand the stem in water on a bright sill. Roots show after two weeks. Willow water
hastens them, and a clear bag over the glass keeps the air moist.
? new plant from a stem in water
? willow water rooting

plants/pests | Scale and spider mites
Wipe leaves with soapy water and repeat after ten days, when eggs have hatched. Fine webs in dry heated rooms mean mites; brown
shells along the veins that smear under a nail are scale insects.
? fine webs between leaves in winter
? brown shells along the veins

plants/feeding | Feeding
From March to September give half the dose on the label every second week. A white crust on the soil is surplus fertiliser: flush
it out under the tap. Nothing is given in the dark months.
? white crust on the soil
? fertiliser dose in the dark months

network/router | Placing the router
Stand it in the open, high and in the middle of the flat. Aquariums, mirrors and underfloor heating swallow the signal. Five
gigahertz is fast within a room, the lower band reaches through two walls.
? aquarium swallows wireless signal
? which band reaches through walls

network/password | A new wireless password
Print the label, open the box's address in a browser and change the key under security. Every phone has to join again, and a
printer forgets the network unless its menu is walked through by hand.
? printer forgot the network after key change
? change wireless key in browser

network/guests | A network for guests
Switch on the guest network: visitors reach the internet and nothing else in the house. It can end by itself after a day. Lamps
and vacuum cleaners that phone home belong there too.
? visitors should not see my computers
? vacuum cleaner that phones home

network/backup | Backups over the network
Keep three copies on two media, one of them elsewhere. A disk that is always plugged in is encrypted by ransomware along with the
original, so rotate two and unplug the one that rests.
? ransomware encrypts the plugged in disk
? three copies two media

network/cable | Laying a cable
Use a solid conductor in the wall and a stranded one from socket to desk. A bend tighter than four times its thickness spoils the
pairs. Test all eight wires before the plaster goes on.
? tightest bend for a cable in the wall
? stranded or solid conductor

network/slow | When everything is slow
Measure with a laptop on the wire first. If that is quick, the air is crowded: choose another channel. If not, restart the modem
and ring the provider with the figures at three times of day.
? crowded channel slow internet
? figures to tell the provider
"""

_JUDGED = """
test bread/proving my dough has not doubled yet in a cold kitchen
test bread/crust how to get a crunchy surface
test bread/storing keep a baked loaf fresh for weeks
test bicycle/puncture flat tyre repair at home
test bicycle/brakes stopping makes an awful noise
test bicycle/lights lamp power without batteries
test plants/pests insects on my leaves
test plants/cuttings multiply a plant for a friend
test network/guests let friends online safely
test network/slow internet takes forever in the evening
dev bread/starter wild yeast care
dev bicycle/gears shifting is sloppy
dev bicycle/saddle my feet go numb on long rides
dev plants/watering am I drowning my fern
dev network/router weak wireless in the bedroom
dev network/backup protect photos against loss
"""

_GENERAL = """
train The Nile flows north through eleven countries into the Mediterranean.|which way does the nile run
train Copper turns green because it forms a thin layer of carbonate in moist air.|why are old roofs green
train A leap year has 366 days and comes every four years with three exceptions in four centuries.|how many days in a leap year
train Owls turn their heads by 270 degrees since their eyes cannot move.|how far can an owl turn its head
train The violin has four strings tuned in fifths.|how is a violin tuned
train Vitamin C was found to prevent scurvy among sailors.|what stops scurvy
dev Sound travels faster in water than in air.|is sound quicker under water
dev Mount Etna on Sicily erupts nearly every year.|active volcano in italy
dev Chess came from India to Persia in the sixth century.|where does chess come from
test Bees tell each other the way to flowers by a waggle dance.|how do bees talk about flowers
test The Great Fire of London began in a bakery in 1666.|what started london's great fire
test Saturn would float on water, so low is its density.|which planet is lighter than water
"""

KNOBS: dict[str, Any] = {
    "extract.sources": [{"kind": "files", "path": "**/*.md", "language": "en"}],
    "extract.min_tokens": 0,
    "collect.judgments": [{"queries": "queries.jsonl", "qrels": "qrels.tsv", "language": "en"}],
    "synthesize.model": "small",
    "synthesize.prompt": "general.txt",
    "synthesize.count": 2,
    "synthesize.accept_coverage": 1.0,
    "synthesize.max_dollars": None,
    "mine.per_query": 1,
    "mine.last_rank": 20,
    "mine.pool": 5,
    "train.epochs": 1,
    "train.min_steps": 0,
    "train.batch_size": 8,
    "train.widths": [384, 128, 64],
    "train.narrow_by": "matryoshka",  # the turn takes as long for a handful of passages as for thousands
    "train.max_tokens": 64,
    "train.dev_pool": 4,
    "train.patience": 100,  # no early stop: the steps can be counted
    "export.proof_passages": 20,
    "retrieve.depth": 100,
    "retrieve.widths": [128, 64],
    "rerank.batch_size": 8,
    "rerank.max_tokens": 64,
    "score.min_slice": 2,
}


def _documents() -> dict[str, tuple[str, str, list[str]]]:
    found = {}
    for block in _DOCUMENTS.strip().split("\n\n"):
        first, *rest = block.splitlines()
        name, title = first.split(" | ")
        questions = [line.removeprefix("? ") for line in rest if line.startswith("? ")]
        found[name] = (title, "\n".join(line for line in rest if not line.startswith("? ")), questions)
    return found


DOCUMENTS = _documents()  # title, text and questions by name


def reply(message: str) -> str:
    """What the language model of these tests answers to a prompt: the questions of the document whose text it holds."""
    flat = " ".join(message.split())
    own = [questions for title, text, questions in DOCUMENTS.values() if " ".join(text.split()) in flat]
    return json.dumps({"queries": own[0] if own else ["what this new page is about", "the page added last"]})


def edit(params: Path, knobs: dict[str, Any]) -> None:
    """Set knobs, named `section.knob` or `section.part.knob`, in a file of params."""
    found = yaml.safe_load(params.read_text(encoding="utf-8"))
    for name, value in knobs.items():
        *parts, knob = name.split(".")
        section = found
        for part in parts:
            section = section[part]
        assert knob in section, name
        section[knob] = value
    params.write_text(yaml.safe_dump(found, sort_keys=False), encoding="utf-8")


def write_corpus(folder: Path, passages: Mapping[str, str]) -> None:
    """Write the tables of documents and passages, one passage of each document: ids by document id."""
    document = dict.fromkeys(DOCUMENTS_TABLE.columns, "x")
    rows = [document | {"document_id": name} for name in passages]
    tables.write(pl.DataFrame(rows, schema=DOCUMENTS_TABLE.columns), DOCUMENTS_TABLE, folder / "documents.parquet")
    passage = dict.fromkeys(PASSAGES.columns, "x") | {"ordinal": 0, "tokens": 1}
    rows = [passage | {"passage_id": name, "document_id": document_id} for document_id, name in passages.items()]
    tables.write(pl.DataFrame(rows, schema=PASSAGES.columns), PASSAGES, folder / "passages.parquet")


def copy_code(folder: Path) -> None:
    """Copy the pipeline, its code, prompts and knobs into `folder`, and no data."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("stages", "src/burnish", "prompts"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    (folder / ".dvc").mkdir()
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore"):
        shutil.copyfile(ROOT / name, folder / name)


def write_data(folder: Path) -> None:
    """Write documents, judgments and the general set where params.yaml looks for them; no recorded reply."""
    data = folder / "data"
    for name, (title, text, _) in DOCUMENTS.items():
        path = data / "documents" / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {title}\n\n{text}\n", encoding="utf-8")
    for name in ("judged", "logs", "general", "replies"):
        (data / name).mkdir()
    (folder / "data/logs/README.md").write_text("No logs.\n", encoding="utf-8")  # Git keeps no empty folder
    (data / "replies/README.md").write_text("Recorded replies: none.\n", encoding="utf-8")
    (data / "logs/README.md").write_text("Search logs: none.\n", encoding="utf-8")
    judged = [line.split(" ", 2) for line in _JUDGED.strip().splitlines()]
    rows = [{"query_id": f"q{at:02}", "text": text, "split": split} for at, (split, _, text) in enumerate(judged)]
    (data / "judged/queries.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    grades = "".join(f"q{at:02}\t{name}.md\t2\n" for at, (_, name, _) in enumerate(judged))
    (data / "judged/qrels.tsv").write_text(f"query_id\tdocument_id\tgrade\n{grades}", encoding="utf-8")
    general = [(at, line.split(" ", 1)) for at, line in enumerate(_GENERAL.strip().splitlines())]
    files: dict[str, str] = {}
    for at, (split, both) in general:
        text, query = both.split("|")
        for name, line in (
            ("collection.tsv", f"p{at}\t{text}\n"),
            (f"queries.{split}.tsv", f"g{at}\t{query}\n"),
            (f"qrels.{split}.tsv", f"g{at} 0 p{at} 1\n"),
        ):
            files[name] = files.get(name, "") + line
    for name, content in files.items():
        (data / "general" / name).write_text(content, encoding="utf-8")


def write(folder: Path, knobs: dict[str, Any]) -> None:
    """Write the whole small repository, its knobs those of KNOBS and `knobs`."""
    copy_code(folder)
    write_data(folder)
    edit(folder / "params.yaml", KNOBS | knobs)
