"""Captions say what is seen, are read of every layout, and what is wrong with them is named."""

import io
import json
import re
import tarfile

import numpy as np
from PIL import Image
import pytest

from vision_gen import data
from vision_gen.data import avatar_captions, avatar_faces, captioned, glyphs
from vision_gen.errors import InputError

COLOURS = {
    "black",
    "brown",
    "blond",
    "blonde",
    "red",
    "ginger",
    "grey",
    "gray",
    "pink",
    "blue",
    "green",
    "yellow",
    "purple",
}
SAME = {"blonde": "blond", "ginger": "red", "gray": "grey"}


def faces(split, count):
    return [(number, avatar_faces.face(split, number)[0]) for number in range(count)]


def test_captions_of_a_face_follow_from_its_number():
    first = [avatar_captions.captions("train", number, traits) for number, traits in faces("train", 20)]
    assert first == [avatar_captions.captions("train", number, traits) for number, traits in faces("train", 20)]
    assert (
        all(len(texts) == avatar_captions.COUNT for texts in first) and len({t for texts in first for t in texts}) > 100
    )


def test_captions_name_what_is_seen():
    """Colours, glasses and beards of all captions are those of the face, and all kinds are named by some."""
    seen = set()
    for number, traits in faces("train", 300):
        for text in avatar_captions.captions("train", number, traits):
            assert not re.search(r"\{|\}|  |\ba [aeiou]", text), text
            hair = re.search(r"(\w+) (?:\w+ )?(?:hair|curls|bob|bun|quiff|mohawk|afro|dreadlocks|braids)\b", text)
            if hair and hair[1] in COLOURS:
                assert SAME.get(hair[1], hair[1]) == traits["hair_colour"], text
                seen.add("hair")
            for kind in ("round", "square"):
                if f"{kind} glasses" in text:
                    assert traits["glasses"] == kind, text
                    seen.add(kind)
            if re.search("without glasses|no glasses", text):
                assert traits["glasses"] == "none", text
                seen.add("none")
            if "moustache" in text:
                assert traits["facial_hair"] == "moustache", text
                seen.add("moustache")
            if found := re.search(r"(\w+) (?:hoodie|clothes|blazer|overall|dungarees)", text):
                if found[1] in COLOURS:
                    assert found[1] == traits["clothing_colour"], text
                    seen.add("clothes")
            if "bald" in text:
                assert traits["top"] == "bald", text
                seen.add("bald")
    assert seen == {"hair", "round", "square", "none", "moustache", "clothes", "bald"}


def test_what_a_caption_names_is_known():
    told = {text: said for number, traits in faces("train", 200) for text, said in avatar_captions.told("train", number, traits)}
    assert all(said <= set(avatar_faces.TRAITS) for said in told.values())
    for text, said in told.items():
        for words, traits in {
            r"\bbald\b": {"top"},
            "glasses": {"glasses"},
            "background": {"background"},
            "skin": {"skin"},
            "moustache|beard": {"facial_hair"},
            r"(black|brown|grey|gray|red|ginger|blonde?|pink) hair": {"hair_colour"},
            r"\w+ clothes": {"clothing_colour"},
            "(black|blue|green|red|yellow|purple|pink) hoodie": {"clothing", "clothing_colour"},
            "smiling|laughing (?!eyes)|shouting|serious": {"mouth"},
        }.items():
            assert not re.search(words, text) or traits <= said, text
    bare = {said for text, said in told.items() if re.fullmatch(r"an? \w+ wearing a hoodie", text)}
    assert not bare or bare == {frozenset({"clothing"})}
    assert all(said or "without a hat" in text for text, said in told.items())


def test_a_new_combination_is_named_and_never_in_training():
    assert len(avatar_faces.COMBINATIONS) >= 20
    assert not any(avatar_faces.combinations(traits) for _, traits in faces("train", 300))
    for number, traits in faces("test", 100):
        if "green hoodie, red hair" in avatar_faces.combinations(traits):
            for text in avatar_captions.captions("test", number, traits):
                assert re.search("green hoodie", text) and re.search(
                    "(red|ginger) ", text.replace("green hoodie", "")
                ), text
            break


def test_answers_are_places_of_what_is_asked():
    for _, traits in faces("val", 50):
        found = avatar_captions.answers(traits)
        for name, values in avatar_captions.ASKED.items():
            value = list(values)[found[name]] if found[name] >= 0 else None
            if name == "hat":
                assert value == (traits["top"] if traits["top"] in values else "none")
            else:
                assert value == (traits[name] if traits[name] in values else None)
    assert len({len(texts) for values in avatar_captions.ASKED.values() for texts in values.values()}) == 1


def test_questions_are_in_the_words_of_captions():
    """Of words that training never has beside each other, such as "no hat", a model knows nothing."""
    neighbours = lambda text: set(zip(text.split(), text.split()[1:]))
    said = set()
    for number, traits in faces("train", 4000):
        for text in avatar_captions.captions("train", number, traits):
            said |= neighbours(text.replace(",", " "))
    for values in avatar_captions.ASKED.values():
        for text in (text for texts in values.values() for text in texts):
            assert neighbours(text) <= said, (text, neighbours(text) - said)


def test_other_names_of_emoji_are_known():
    assert glyphs.aliases()["1F602"] == ["joy"]


def picture(path, colour=(200, 30, 30), text=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 16), colour).save(path)
    if text is not None:
        path.with_suffix(".txt").write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
def folder(tmp_path):
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for number in range(count):
            text = f"a {split} picture\n\nnumber {'one two three four'.split()[number]}, which is red\n"
            picture(tmp_path / "pictures" / split / f"{number}.png", text="\ufeff" + text if number else text)
    return tmp_path / "pictures"


def settings(folder, name="caption_folder", **more):
    return data.Settings(
        **(
            dict(
                name="captioned",
                size=8,
                parts={"p": dict(name=name, dir=str(folder))},
                tokenizer="learned:300",
                text_length=24,
            )
            | more
        )
    )


def test_examples_have_their_captions_as_tokens_one_an_epoch(folder, caplog):
    caplog.set_level("INFO", logger="vision_gen")
    source = data.open(settings(folder), "train")
    assert "left out" not in caplog.text
    assert source.shapes.keys() == {"colour", "tokens"} and len(source) == 4
    orders = [source.order(epoch, 0) for epoch in range(3)]
    for index in (0, 3):
        at = [int(next(i for i in order if i % 4 == index)) for order in orders]
        texts = [source.tokenizer.text(source[i]["tokens"]) for i in at]
        assert texts[0] == texts[2] == "a train picture" and texts[1].endswith("which is red")
    np.testing.assert_array_equal(source.column("tokens"), [source[i]["tokens"] for i in range(4)])


def test_held_out_examples_have_the_first_caption_and_the_vocabulary_of_training(folder):
    train, test = (data.open(settings(folder), split) for split in ("train", "test"))
    assert test.tokenizer is train.tokenizer
    assert captioned.written(test[1]["text"][None]) == ["a test picture"]
    assert test.tokenizer.text(test[1]["tokens"]) == "a test picture"
    np.testing.assert_array_equal(test[3]["tokens"], test[1]["tokens"])  # There are two; no epochs of others.


def test_words_are_cut_otherwise_each_epoch_where_merges_are_left_out(folder):
    plain, dropped = (data.open(settings(folder, text_dropout=rate), "train") for rate in (0.0, 0.5))
    for index in range(len(plain)):
        epochs = [dropped[index + len(plain) * epoch]["tokens"] for epoch in (0, 2, 4, 6, 0)]
        whole = plain[index]["tokens"]
        assert len({tokens.tobytes() for tokens in epochs}) > 1
        np.testing.assert_array_equal(epochs[0], epochs[-1])  # By the epoch alone.
        assert {plain.tokenizer.text(tokens) for tokens in epochs} == {plain.tokenizer.text(whole)}
    held_out = data.open(settings(folder, text_dropout=0.5), "test")
    np.testing.assert_array_equal(held_out[0]["tokens"], data.open(settings(folder), "test")[0]["tokens"])


def test_long_captions_are_refused_or_cut_and_counted(folder, caplog):
    with pytest.raises(
        InputError, match=r"config.data: the caption of train/0.png has .* tokens.*'number one, .*cut_texts=True"
    ):
        data.open(settings(folder, text_length=8), "train")
    source = data.open(settings(folder, text_length=8, cut_texts=True), "train")
    assert source.cut == 4 and "4 of 8 captions were cut to 8 tokens" in caplog.text
    assert source[4]["tokens"][-1] == source.tokenizer.size - 1


def test_what_has_no_captions_is_refused(tmp_path):
    with pytest.raises(InputError, match="config.data.parts.p.name: digits has no captions"):
        data.open(
            data.Settings(name="captioned", parts={"p": dict(name="digits", size=8)}, tokenizer="learned:300"), "train"
        )
    with pytest.raises(InputError, match="text_length must be at least 3"):
        data.shapes(settings(tmp_path, text_length=2))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda at: (at / "train/9.txt").write_text("x"), "9.txt: a text without a picture of its name"),
        (lambda at: (at / "train/0.txt").unlink(), "0.png: a picture without a text; 0.txt should lie beside it"),
        (lambda at: (at / "train/0.txt").write_text(" \n"), "0.txt: no caption, but ' \\\\n'"),
        (lambda at: (at / "train/0.txt").write_bytes("caf\xe9".encode("latin-1")), "0.txt: not UTF-8 .byte 3 is 0xe9"),
        (lambda at: (at / "train/0.png").write_bytes(b"x"), "0.png: not a readable image"),
    ],
)
def test_what_is_wrong_in_a_folder_is_named(folder, change, message):
    change(folder)
    with pytest.raises(InputError, match=message):
        data.open(settings(folder), "train")


@pytest.fixture
def coco(tmp_path):
    at = tmp_path / "coco"
    images = [{"id": 10 + i, "file_name": f"{i}.jpg"} for i in range(20)]
    captions = [
        {"image_id": image["id"], "caption": f" {text} {i}\n"}
        for i, image in enumerate(images)
        for text in ("one", "two")
    ]
    for name, some in (("train2017", images), ("val2017", images[:3])):
        for image in some:
            picture(at / name / image["file_name"])
        ids = {image["id"] for image in some}
        (at / "annotations").mkdir(exist_ok=True)
        record = dict(images=some, annotations=[c for c in captions if c["image_id"] in ids])
        (at / "annotations" / f"captions_{name}.json").write_text(json.dumps(record))
    return at


def test_cocos_layout_is_read(coco):
    sources = {
        split: data.open(data.Settings(name="coco_captions", dir=str(coco), size=8), split) for split in data.SPLITS
    }
    assert [sources["test"].name(i) for i in range(3)] == ["val2017/0.jpg", "val2017/1.jpg", "val2017/2.jpg"]
    assert sources["test"].captions(2) == ("one 2", "two 2") and sources["test"][0]["colour"].shape == (8, 8, 3)
    names = {split: {source.name(i) for i in range(len(source))} for split, source in sources.items()}
    assert names["val"] and len(names["train"] | names["val"]) == 20 and not names["train"] & names["val"]
    (coco / "annotations/captions_val2017.json").unlink()
    assert all(len(data.open(data.Settings(name="coco_captions", dir=str(coco)), split)) for split in data.SPLITS)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda record: record.pop("images"), "captions_train2017.json: not as .*'images'"),
        (lambda record: record["images"][0].pop("id"), "captions_train2017.json: not as .*'id'"),
        (lambda record: record["annotations"][3].update(caption=" "), "captions_train2017.json: caption 4: no caption"),
        (lambda record: record["annotations"][3].update(image_id=7), "caption 4 is of the image 7, which is not among"),
        (lambda record: record.update(annotations=record["annotations"][2:]), "0.jpg has no caption"),
        (lambda record: record["images"][0].update(file_name="x.jpg"), "x.jpg is not there"),
    ],
)
def test_what_is_wrong_in_cocos_list_is_named(coco, change, message):
    path = coco / "annotations/captions_train2017.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=message):
        data.open(data.Settings(name="coco_captions", dir=str(coco)), "train")


def tar(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def png(shade):
    out = io.BytesIO()
    Image.new("L", (12, 9), shade).save(out, "PNG")
    return out.getvalue()


def shard(start, count=10):
    return {
        f"{number:04d}.{suffix}": content
        for number in range(start, start + count)
        for suffix, content in (("png", png(number)), ("txt", f"grey {number}".encode()), ("json", b"{}"))
    }


def test_tars_are_read_where_they_lie(tmp_path):
    tar(tmp_path / "00000.tar", shard(0))
    tar(tmp_path / "00001.tar", shard(10))
    sources = {
        split: data.open(data.Settings(name="webdataset", dir=str(tmp_path), size=4), split) for split in data.SPLITS
    }
    assert sum(map(len, sources.values())) == 20
    for source in sources.values():
        for i in range(len(source)):
            number = int(source.name(i)[-4:])
            assert source.captions(i) == (f"grey {number}",) and (source[i]["colour"] == number).all()
            assert source.name(i).startswith(f"0000{number // 10}.tar/")


@pytest.mark.parametrize(
    "files, message",
    [
        ({"1.png": png(0)}, "0.tar: 1.png is a picture without a text"),
        ({"1.txt": b"x"}, "0.tar: 1.txt is a text without a picture"),
        ({"1.png": png(0), "1.txt": b""}, "0.tar: 1.txt: no caption"),
        ({"1.png": png(0), "1.txt": b"\xff"}, "0.tar: 1.txt: not UTF-8"),
        ({"1.png": png(0), "1.jpg": png(0), "1.txt": b"x"}, "0.tar: has 1.png and 1.jpg, two of one name"),
    ],
)
def test_what_is_wrong_in_a_tar_is_named(files, message, tmp_path):
    tar(tmp_path / "0.tar", files)
    with pytest.raises(InputError, match=message):
        data.open(data.Settings(name="webdataset", dir=str(tmp_path)), "train")


def test_damaged_tars_are_named(tmp_path):
    tar(tmp_path / "0.tar", shard(0))
    whole = (tmp_path / "0.tar").read_bytes()
    for content in (whole[:1000], whole[: len(whole) // 2 + 100], b"x" * 600):
        (tmp_path / "0.tar").write_bytes(content)
        with pytest.raises(InputError, match="0.tar: (ends early|cannot be read as a tar)"):
            data.open(data.Settings(name="webdataset", dir=str(tmp_path)), "train")
