"""Files from an archive that is slow, cuts off, lies, is gone or sends web pages: the whole file, or one sentence."""

import base64
import fcntl
import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from contracts import config
from contracts.clock import Clock
from contracts.errors import UserError
from obsproc import archives, download, fetch, stage
from obsproc.config import Settings
from tests.obsproc.archive_server import cut_off, etag, says, serving, slow, sound

TIME = datetime(1989, 1, 1, 12, tzinfo=UTC)
PAGE = b"<!DOCTYPE html><html><title>Please log in</title></html>"


@pytest.fixture(scope="module")
def content(samples) -> bytes:
    return (samples / "prepbufr/fixtures/prepqm89010112_1msg_per_type.prepbufr").read_bytes()


@pytest.fixture
def archive():
    with serving() as found:
        yield found


def text(folder, archive, more="", end="1989-01-01T12:00:00Z") -> str:
    return f"""
        [experiment]
        name = "fetched"
        start = 1989-01-01T12:00:00Z
        end = {end}
        work = "{folder}"
        {more}
        [observations]
        files = ["{folder}/data/gdas.%Y%m%d%H"]
        [fetch]
        archives = ["{archive.url}/%Y/gdas.%Y%m%d.t%Hz"]
        tries = 3
        first_pause_seconds = 0.01
        timeout_seconds = 0.5
        every_seconds = 0.2
        """


def settings(folder, archive, **more) -> Settings:
    return config.decode(text(folder, archive, **more), Settings, "case")


def fetched(folder, archive, *answers) -> list[str]:
    archive.answers[:] = answers
    return fetch.fetch_all(settings(folder, archive), [TIME])


def came(folder) -> bytes:
    """What lies there, and nothing else."""
    assert [path.name for path in (folder / "data").iterdir()] == ["gdas.1989010112"]
    return (folder / "data/gdas.1989010112").read_bytes()


def test_a_file_comes_by_rename_and_is_not_asked_for_again(tmp_path, archive, content):
    assert fetched(tmp_path, archive, sound(content)) == []
    assert came(tmp_path) == content and archive.asked == [("/1989/gdas.19890101.t12z", "")]
    assert fetched(tmp_path, archive, sound(content)) == [] and len(archive.asked) == 1


def test_what_was_cut_off_goes_on_where_it_stopped(tmp_path, archive, content):
    first, second = 1000, 5000
    assert fetched(tmp_path, archive, cut_off(content, first), cut_off(content, second), sound(content)) == []
    assert came(tmp_path) == content and archive.ranges == ["", "bytes=1000-", "bytes=6000-"]


def test_the_next_call_goes_on_too(tmp_path, archive, content):
    said, = fetched(tmp_path, archive, cut_off(content, 700), cut_off(content, 0))
    assert f"ended after 700 of {len(content)} bytes; tried 3 time(s), and 700 bytes are kept" in said
    assert not (tmp_path / "data/gdas.1989010112").exists()
    assert fetched(tmp_path, archive, sound(content)) == []
    assert came(tmp_path) == content and archive.ranges[-1] == "bytes=700-"


def test_a_file_that_has_changed_is_begun_anew(tmp_path, archive, content):
    other = content + content
    assert fetched(tmp_path, archive, cut_off(content, 700), sound(other)) == []
    assert came(tmp_path) == other


def test_one_that_has_become_shorter_is_begun_anew(tmp_path, archive, content):
    assert fetched(tmp_path, archive, cut_off(content, 700), says(416), sound(content)) == []
    assert came(tmp_path) == content and archive.ranges == ["", "bytes=700-", ""]


def test_a_part_of_another_place_than_was_asked_for_is_not_appended(tmp_path, archive, content):
    wrong = says(206, content[500:], Content_Range=f"bytes 500-{len(content) - 1}/{len(content)}", ETag=etag(content))
    said = fetched(tmp_path, archive, cut_off(content, 700), wrong)
    assert "the server sent another part than that from byte" in said[0]
    assert not (tmp_path / "data/gdas.1989010112").exists()


@pytest.mark.parametrize("length", [-100, 100], ids=["too short", "too long"])
def test_a_server_that_lies_about_the_length_is_not_believed(tmp_path, archive, content, length):
    said = fetched(tmp_path, archive, says(200, content, len(content) + length))
    assert ("is no such file" if length < 0 else f"ended after {len(content)} of") in said[0]
    assert not (tmp_path / "data/gdas.1989010112").exists()


@pytest.mark.parametrize(("status", "words"), [
    (404, "the server has no such file (404)"), (403, "without a login (403)"), (400, "answered 400 Bad Request")])
def test_what_will_not_get_better_is_told_at_once(tmp_path, archive, status, words):
    assert words in fetched(tmp_path, archive, says(status))[0] and len(archive.asked) == 1


def test_a_server_that_is_out_of_order_is_asked_again(tmp_path, archive, content):
    assert fetched(tmp_path, archive, says(503), says(429, Retry_After="0"), sound(content)) == []
    assert came(tmp_path) == content
    (tmp_path / "data/gdas.1989010112").unlink()
    assert "answered 503 Service Unavailable; tried 3 time(s)" in fetched(tmp_path, archive, says(503))[0]


def test_the_server_says_how_long_to_wait(tmp_path, archive, content, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    fetched(tmp_path, archive, says(503, Retry_After="7"), says(503, Retry_After="100000"), sound(content))
    assert pauses == [7.0, settings(tmp_path, archive).fetch.longest_pause_seconds]


@pytest.mark.parametrize(("body", "words"), [
    (PAGE, "it is a web page, perhaps an error or a log-in"), (b"", "it is empty"),
    (b"GRIB" + bytes(100), "it is GRIB")])
def test_something_else_is_named_and_never_lies_there(tmp_path, archive, body, words):
    assert words in fetched(tmp_path, archive, says(200, body))[0]
    assert not (tmp_path / "data/gdas.1989010112").exists()


def test_silence_ends_a_try_and_slowness_does_not(tmp_path, archive, content):
    assert fetched(tmp_path, archive, slow(content, len(content) // 3, 0.1)) == []
    (tmp_path / "data/gdas.1989010112").unlink()
    assert "timed out" in fetched(tmp_path, archive, slow(content, len(content) // 2, 2.0))[0]


def test_a_checksum_that_the_server_tells_is_looked_at(tmp_path, archive, content):
    good, bad = (base64.b64encode(hashlib.sha256(of).digest()).decode() for of in (content, b"other"))
    assert fetched(tmp_path, archive, sound(content, Repr_Digest=f"sha-256=:{good}:")) == []
    for header in ({"Digest": f"SHA-256={bad}"}, {"x_amz_checksum_sha256": bad}):
        (tmp_path / "data/gdas.1989010112").unlink(missing_ok=True)
        assert "the server told" in fetched(tmp_path, archive, says(200, content, **header))[0]
    s3 = says(200, content, Server="AmazonS3", ETag=etag(b"other"))
    assert "its md5 is" in fetched(tmp_path, archive, s3)[0]
    kms = says(200, content, Server="AmazonS3", ETag=etag(b"other"), x_amz_server_side_encryption="aws:kms")
    assert fetched(tmp_path, archive, kms) == []


def test_more_than_was_allowed_is_refused(tmp_path, archive, content):
    archive.answers[:] = [sound(content)]
    chosen = config.decode(text(tmp_path, archive) + "largest_mb = 0.001\n", Settings, "case")
    assert "has more than 0.001 MB" in fetch.fetch_all(chosen, [TIME])[0]


def test_two_processes_do_not_write_to_one_part(tmp_path, archive, content):
    part = download.part_of(tmp_path / "data/gdas.1989010112")
    part.parent.mkdir()
    with open(part, "ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "another process is fetching it" in fetched(tmp_path, archive, sound(content))[0]


def test_nobody_there_is_told(tmp_path, archive):
    with serving() as gone:
        pass
    assert "no answer to the end" in fetched(tmp_path, gone)[0]


def test_the_command_fetches_all_times_and_says_what_it_could_not(tmp_path, archive, content):
    file = tmp_path / "experiment.toml"
    file.write_text(text(tmp_path, archive, end="1989-01-02T00:00:00Z"))
    archive.answers[:] = [sound(content), says(404), sound(content)]
    with pytest.raises(UserError, match=r"1 file\(s\) could not be fetched:\n.*has no such file"):
        fetch.fetch([str(file)])
    archive.answers[:] = [sound(content)]
    fetch.fetch([str(file)])
    assert len(list((tmp_path / "data").glob("gdas.*"))) == 3 and len(archive.asked) == 4


def test_in_real_time_a_file_is_asked_for_politely_and_observations_are_made_of_it(tmp_path, archive, content):
    chosen = in_real_time(tmp_path, archive)
    due = Clock(began=real_now(), start=(TIME + timedelta(minutes=1)).timestamp())
    archive.answers[:] = [says(404), sound(content)]
    assert not stage.is_ready(chosen, TIME, due) and not stage.is_ready(chosen, TIME, due)
    assert len(archive.asked) == 1  # asked for again after `every_seconds` only
    download.time.sleep(0.3)
    assert stage.is_ready(chosen, TIME, due) and len(archive.asked) == 2
    stage.make_one(chosen, TIME, due)
    assert chosen.experiment.folder.at(TIME).observations.exists()


def test_before_it_is_due_and_after_the_cut_off_nothing_is_asked_for(tmp_path, archive):
    chosen = in_real_time(tmp_path, archive)
    for hours, ready in ((-1, False), (4, True)):
        shown = Clock(began=real_now(), start=(TIME + timedelta(hours=hours)).timestamp())
        assert stage.is_ready(chosen, TIME, shown) is ready
    assert archive.asked == []


def test_no_server_holds_up_a_cycle_beyond_its_cut_off(tmp_path, archive, content):
    chosen = in_real_time(tmp_path, archive)
    cut_off_is_near = Clock(began=real_now(), start=(TIME + timedelta(hours=3, seconds=-0.3)).timestamp())
    archive.answers[:] = [slow(content, 10, 0.05)]
    began = real_now()
    stage.is_ready(chosen, TIME, cut_off_is_near)
    assert real_now() - began < 2.0 and stage.is_ready(chosen, TIME, cut_off_is_near)


def test_every_archive_says_where_it_is_from_and_that_it_was_not_tried():
    for name, known in archives.known().items():
        assert known.title and known.document and known.looked_up and known.tried == "not tried here", name
        url = known.at(datetime(2024, 1, 2, 6, tzinfo=UTC))
        assert url.startswith("https://") and "2024" in url and "%" not in url
        assert name in archives.told()
    with pytest.raises(UserError, match="begins at 1979-01-01 00 UTC"):
        archives.named("nnja").at(datetime(1978, 1, 1, tzinfo=UTC))


def test_a_user_adds_archives(tmp_path):
    more = tmp_path / "more.toml"
    more.write_text('[mine]\nurl = "https://data.example.org/%H"\n[nomads]\nurl = "https://elsewhere.example.org/%d"\n')
    assert archives.named("mine", str(more)).at(TIME) == "https://data.example.org/12"
    assert archives.named("nomads", str(more)).at(TIME) == "https://elsewhere.example.org/01"
    with pytest.raises(UserError, match="unknown archive 'nomad'.*did you mean 'nomads'"):
        archives.named("nomad", str(more))
    more.write_text('[mine]\nurl = "ftp://data.example.org"\n')
    archives.known.cache_clear()
    with pytest.raises(UserError, match="url must begin with https://"):
        archives.known(str(more))


@pytest.mark.parametrize(("old", "new", "words"), [
    ('archives = ["', 'archives = ["nnja", "', "expected one for each of the 1"),
    ("tries = 3", "tries = 0", "tries"),
    ("connections = 2", "connections = 40", "connections"),
])
def test_settings_that_do_not_fit_together_are_refused(tmp_path, archive, old, new, words):
    whole = text(tmp_path, archive) + "connections = 2\n"
    with pytest.raises(UserError, match=words):
        config.decode(whole.replace(old, new), Settings, "case")


def test_real_time_asks_no_archive_that_is_not_named(tmp_path, archive):
    without = text(tmp_path, archive).split("[fetch]")[0] + "[realtime]\nfetch = true\n"
    with pytest.raises(UserError, match=r"say where they are in \[fetch\] archives"):
        config.decode(without, Settings, "case")


def in_real_time(folder, archive) -> Settings:
    whole = text(folder, archive, 'mode = "realtime"') + "[realtime]\nfetch = true\n"
    return config.decode(whole, Settings, "case")


def real_now() -> float:
    return datetime.now(UTC).timestamp()
