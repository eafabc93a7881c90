"""The real download path against a server on this machine that misbehaves: one line each, nothing partial passes for whole, and the same
call succeeds afterwards."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import multiprocessing
import os
import shutil
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cgm.core import download as module
from cgm.core.download import Patience, download
from cgm.core.errors import UserError
from cgm.core.unpack import unpack
from cgm.data.listing import read_listing
from cgm.data.sources import SOURCES, url
from cgm.data.sources.url import URL
from cgm.experiment.reading import parse_params

QUICK = Patience(connect=2.0, read=0.5, attempts=3, pause=0.01, longest_pause=0.05)
BODY = np.random.default_rng(0).bytes(300_000)
DIGEST = hashlib.sha256(BODY).hexdigest()
TAG = '"one"'


class Handler(BaseHTTPRequestHandler):
    """Serves ``server.files`` with ranges, and misbehaves first as ``server.faults`` say, one a request."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        fault = self.server.faults.pop(0) if self.server.faults else honest
        fault(self, self.server.files.get(self.path.lstrip("/"), BODY))

    def answer(self, code: int, body: bytes = b"", **headers: object) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": len(body), **{key.replace("_", "-"): value for key, value in headers.items()}}.items():
            if value is not None:
                self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        return


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults: list[Callable[[Handler, bytes], None]] = []
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []

    def address(self, name: str = "file.bin") -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def handle_error(self, *arguments: object) -> None:
        return  # a client that hangs up


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def honest(handler: Handler, body: bytes) -> None:
    asked = handler.headers.get("Range", "")
    if asked and handler.headers.get("If-Range", TAG) == TAG:
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= len(body):
            handler.answer(416)
        else:
            handler.answer(206, body[start:], ETag=TAG, Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")
    else:
        handler.answer(200, body, ETag=TAG)


def cut(share: float, tag: str | None = TAG) -> Callable[[Handler, bytes], None]:
    """Says how long the file is, and hangs up before."""

    def fault(handler: Handler, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        if tag:
            handler.send_header("ETag", tag)
        handler.end_headers()
        handler.wfile.write(body[: int(len(body) * share)])
        handler.wfile.flush()
        handler.close_connection = True

    return fault


def stall(handler: Handler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.send_header("ETag", TAG)
    handler.end_headers()
    handler.wfile.write(body[:100_000])
    handler.wfile.flush()
    time.sleep(1.2)
    handler.close_connection = True


def says(code: int, **headers: object) -> Callable[[Handler, bytes], None]:
    return lambda handler, body: handler.answer(code, b"no", **headers)


def gives(other: bytes, **headers: object) -> Callable[[Handler, bytes], None]:
    return lambda handler, body: handler.answer(200, other, ETag=TAG, **headers)


def moved(to: str | None) -> Callable[[Handler, bytes], None]:
    return lambda handler, body: handler.answer(302, Location=to or handler.path)


def without_length(share: float) -> Callable[[Handler, bytes], None]:
    def fault(handler: Handler, body: bytes) -> None:
        handler.answer(200, body[: int(len(body) * share)], Content_Length=None)
        handler.close_connection = True

    return fault


def hang_up(handler: Handler, body: bytes) -> None:
    handler.close_connection = True


def ignores_ranges(handler: Handler, body: bytes) -> None:
    handler.answer(200, body, ETag=TAG)


def gives_another_range(handler: Handler, body: bytes) -> None:
    handler.answer(206, body[7:], ETag=TAG, Content_Range=f"bytes 7-{len(body) - 1}/{len(body)}")


def zipped(handler: Handler, body: bytes) -> None:
    handler.answer(200, gzip.compress(body), Content_Encoding="gzip")


PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"
CHANGED = BODY[::-1]
MENDED = {
    "cut off": [cut(0.5)],
    "cut off twice": [cut(0.3), cut(0.5)],
    "cut off, no validator": [cut(0.5, tag=None)],
    "cut off, a weak tag": [cut(0.5, tag='W/"one"')],
    "no answer": [hang_up],
    "stalled": [stall],
    "500": [says(500)],
    "503, wait": [says(503, Retry_After=1)],
    "429": [says(429)],
    "408": [says(408)],
    "ignores ranges": [cut(0.5), ignores_ranges],
    "another range": [cut(0.5), gives_another_range],
    "416": [cut(0.5), says(416)],
    "compressed on the way": [zipped],
    "no length": [without_length(1)],
    "cut off without a length": [cut(0.5), without_length(0.4)],
    "redirect": [moved("/elsewhere")],
}
TOLD = {
    "404": ([says(404)], "the server answered 404 Not Found"),
    "403": ([says(403)], "the server answered 403 Forbidden"),
    "410": ([says(410)], "the server answered 410 Gone"),
    "always 500": ([says(500)] * 3, "the server answered 500 Internal Server Error"),
    "always cut off": ([cut(0.2), hang_up, hang_up], "Remote end closed connection without response"),
    "a page": ([gives(PAGE, Content_Type="text/html")], "the server gave a web page and not the file"),
    "a page that says it is a file": ([gives(PAGE, Content_Type="application/gzip")], "a web page and not the file"),
    "another file": ([gives(CHANGED)], f"gave a file with SHA-256 {hashlib.sha256(CHANGED).hexdigest()[:16]}…"),
    "an empty file": ([gives(b"")], "gave a file with SHA-256 e3b0c44298fc1c14…"),
    "a shorter file": ([gives(BODY[:-1])], "gave a file with SHA-256"),
    "a longer file": ([gives(BODY + b"!")], "gave a file with SHA-256"),
    "redirects in a circle": ([moved(None)] * 12, "Exceeded 10 redirects"),
    "redirect to nowhere": ([moved("http://127.0.0.1:9/")] * 3, "refused"),
    "redirect to no address": ([moved("gopher://x")], "No connection adapters"),
}


def fetched(server: Server, path: Path, expected: str | None = DIGEST, **more: object) -> str:
    settings = {"what": "archive", "found": path.is_file, "remedy": f"place it at {path}", "patience": QUICK} | more
    return download(server.address(), path, expected, **settings)


def left(path: Path) -> set[str]:
    return {each.name for each in path.parent.iterdir()} - {f".{path.name}.lock"}


@pytest.mark.parametrize("fault", MENDED)
def test_what_another_attempt_mends(server: Server, tmp_path: Path, fault: str) -> None:
    server.faults = list(MENDED[fault])
    path = tmp_path / "cache" / "file.bin"
    assert fetched(server, path) == DIGEST
    assert path.read_bytes() == BODY
    assert left(path) == {"file.bin"}


@pytest.mark.parametrize("fault", TOLD)
def test_what_is_told_in_one_line(server: Server, tmp_path: Path, fault: str) -> None:
    server.faults, message = list(TOLD[fault][0]), TOLD[fault][1]
    path = tmp_path / "cache" / "file.bin"
    with pytest.raises(UserError) as error:
        fetched(server, path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert f"place it at {path}" in str(error.value)
    assert not path.exists()
    server.faults = []
    assert fetched(server, path) == DIGEST
    assert left(path) == {"file.bin"}


def test_the_rest_alone_is_asked_for(server: Server, tmp_path: Path) -> None:
    server.faults = [cut(0.5)]
    fetched(server, tmp_path / "file.bin")
    _, headers = server.asked[1]
    assert (headers["Range"], headers["If-Range"]) == (f"bytes={150_000 // module.BLOCK * module.BLOCK}-", TAG)


def test_a_file_that_changes_meanwhile_comes_whole(server: Server, tmp_path: Path) -> None:
    def changed(handler: Handler, body: bytes) -> None:
        assert handler.headers["If-Range"] == TAG
        handler.answer(200, CHANGED, ETag='"two"')

    server.faults = [cut(0.5), changed]
    assert fetched(server, tmp_path / "file.bin", hashlib.sha256(CHANGED).hexdigest()) == hashlib.sha256(CHANGED).hexdigest()


def test_a_file_that_changes_unnoticed_is_asked_for_again(server: Server, tmp_path: Path) -> None:
    """The server joins the end of another file to what is here; the hash says so."""
    server.faults = [cut(0.5), lambda handler, body: honest(handler, CHANGED)]
    assert fetched(server, tmp_path / "file.bin") == DIGEST
    assert "Range" not in server.asked[2][1]


def test_a_file_of_another_length_is_refused_before_it_comes(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the server's file has 300000 bytes, expected 299999"):
        fetched(server, tmp_path / "file.bin", size=299_999)
    server.faults = [without_length(1)]
    with pytest.raises(UserError, match="the server's file has more than the expected 299999 bytes"):
        fetched(server, tmp_path / "file.bin", size=299_999)


def test_without_a_hash_the_length_must_be_known(server: Server, tmp_path: Path) -> None:
    server.faults = [without_length(0.4)]
    with pytest.raises(UserError, match=r"doesn't say how long the file is.*give its sha256"):
        fetched(server, tmp_path / "file.bin", None)
    assert fetched(server, tmp_path / "file.bin", None) == DIGEST


def test_a_full_disk_is_told_before_it_is_full(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    with pytest.raises(UserError, match=r"the archive needs 0\.1 GB, found 0\.0 GB free on this disk; free some, or place it at"):
        fetched(server, tmp_path / "file.bin")
    monkeypatch.undo()
    assert fetched(server, tmp_path / "file.bin") == DIGEST


def test_the_next_mirror_is_asked(server: Server, tmp_path: Path) -> None:
    server.faults = [says(404)]
    path = tmp_path / "file.bin"
    urls = [server.address("first"), server.address("second")]
    assert download(urls, path, DIGEST, what="archive", found=path.is_file, remedy="…", patience=QUICK) == DIGEST
    assert [name for name, _ in server.asked] == ["/first", "/second"]
    path.unlink()
    server.faults = [says(404), says(403)]
    with pytest.raises(UserError, match=r"first: the server answered 404.*second: the server answered 403"):
        download(urls, path, DIGEST, what="archive", found=path.is_file, remedy="…", patience=QUICK)


def test_a_killed_download_goes_on(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    (tmp_path / ".file.bin.part").write_bytes(BODY[:123_456])
    (tmp_path / ".file.bin.part.json").write_text(json.dumps({"url": server.address(), "validator": TAG, "total": len(BODY)}))
    assert fetched(server, path) == DIGEST
    assert server.asked[0][1]["Range"] == "bytes=123456-"
    assert left(path) == {"file.bin"}


def _in_a_process(address: str, path: str) -> None:
    download(address, Path(path), DIGEST, what="archive", found=Path(path).is_file, remedy="…", patience=QUICK)


def test_two_at_once_download_once(server: Server, tmp_path: Path) -> None:
    def slow(handler: Handler, body: bytes) -> None:
        time.sleep(0.4)
        honest(handler, body)

    server.faults = [slow, slow]
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_in_a_process, args=(server.address(), str(tmp_path / "file.bin"))) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(60)
        assert each.exitcode == 0
    assert len(server.asked) == 1


# Archives


def tar_of(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for member in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member[0])
            data = b"" if isinstance(member, tarfile.TarInfo) else member[1]
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def zip_of(*members: tuple[str, bytes], link: bool = False, encrypted: bool = False) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o120777 if link else 0o100644) << 16
            archive.writestr(info, data)
    found = file.getvalue()
    if encrypted:  # the flag alone, in both headers: nobody may get as far as the data
        found = found.replace(b"PK\x03\x04\x14\x00\x00\x00", b"PK\x03\x04\x14\x00\x01\x00").replace(
            b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
        )
    return found


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


HOSTILE = {
    "a tar that climbs": (tar_of(("a/../../evil", b"x")), "leads out of the folder"),
    "a zip that climbs": (zip_of(("../evil", b"x")), "leads out of the folder"),
    "an absolute name": (tar_of(("/etc/evil", b"x")), "leads out of the folder"),
    "a drive letter": (zip_of(("C:evil", b"x")), "leads out of the folder"),
    "a backslash": (tar_of(("a\\..\\evil", b"x")), "leads out of the folder"),
    "a symbolic link": (tar_of(special("a", tarfile.SYMTYPE, "/etc/passwd")), "is a link"),
    "a hard link": (tar_of(special("a", tarfile.LNKTYPE, "/etc/passwd")), "is a link"),
    "a link in a zip": (zip_of(("a", b"/etc/passwd"), link=True), "is a link"),
    "a device": (tar_of(special("a", tarfile.CHRTYPE)), "is no plain file"),
    "a pipe": (tar_of(special("a", tarfile.FIFOTYPE)), "is no plain file"),
    "two of one name": (tar_of(("a/x", b"1"), ("a/x", b"2")), "would be one file"),
    "two of one name on other disks": (zip_of(("a/x.png", b"1"), ("A/X.png", b"2")), "would be one file"),
    "a control character": (tar_of(("a\nb", b"x")), "is no name on every system"),
    "encrypted": (zip_of(("a", b"x"), encrypted=True), "is encrypted"),
    "cut off": (tar_of(("a", os.urandom(5000)))[:2000], "can't be unpacked"),
    "a cut-off zip": (zip_of(("a", os.urandom(5000)))[:-10], "neither a tar nor a zip archive"),
    "no archive": (b"no archive at all", "neither a tar nor a zip archive"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_are_refused(kind: str, tmp_path: Path) -> None:
    data, message = HOSTILE[kind]
    path = tmp_path / "archive"
    path.write_bytes(data)
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError) as error:
        unpack(path, tmp_path / "out")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert {each.name for each in tmp_path.iterdir()} == {"archive", "out"}


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_bombs(make: Callable[..., bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "archive"
    path.write_bytes(make(("a", bytes(3_000_000))))
    (tmp_path / "out").mkdir()
    unpack(path, tmp_path / "out")  # small enough for any ratio
    monkeypatch.setattr("cgm.core.unpack.ALWAYS", 1_000_000)
    with pytest.raises(UserError, match="it would become more than"):
        unpack(path, tmp_path / "out")
    monkeypatch.setattr("cgm.core.unpack.RATIO", 10_000)
    monkeypatch.setattr("cgm.core.unpack.LARGEST", 2_000_000)
    with pytest.raises(UserError, match="it would become more than"):
        unpack(path, tmp_path / "out")
    monkeypatch.setattr("cgm.core.unpack.LARGEST", 1 << 40)
    monkeypatch.setattr("cgm.core.unpack.MOST", 0)
    with pytest.raises(UserError, match="more than 0 files"):
        unpack(path, tmp_path / "out")


# Sources


def png(seed: int, width: int = 32) -> bytes:
    blocks = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(blocks).resize((width, 32), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def archives() -> dict[str, bytes]:
    """A small archive of each layout."""
    joined = [(f"set/train/{n}.png", png(n, 64)) for n in range(24)]
    sides = [(f"set/train/{side}/{n}.png", png(n + 100 * (side == "B"))) for n in range(24) for side in "AB"]
    domains = [
        (f"set/{name}/{n}.png", png(n + 100 * place))
        for place, name in enumerate(("trainA", "trainB", "testA", "testB"))
        for n in range(12)
    ]
    return {"joined.tar.gz": tar_of(*joined), "sides.zip": zip_of(*sides), "domains.zip": zip_of(*domains), "flat.tar.gz": tar_of(*sides)}


@pytest.fixture
def project(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, with a cache beside it."""
    monkeypatch.setenv(url.CACHE, str(tmp_path / "cache"))
    monkeypatch.delenv(url.MIRROR, raising=False)
    monkeypatch.setattr(module, "PATIENCE", QUICK)
    server.files = archives()
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def entry(server: Server, name: str, **more: object) -> object:
    raw = {"source": "url", "url": server.address(name), "kimg": 1.0, "image_size": 32, **more}
    group = {"datasets": {"mine": raw}, "methods": {"mae": {}}}
    return parse_params({"experiment": "x", "seeds": [0], **group}).datasets["mine"]


@pytest.mark.parametrize("name", archives())
def test_an_archive_of_each_layout(server: Server, project: Path, name: str) -> None:
    paired = name != "domains.zip"
    digest = hashlib.sha256(server.files[name]).hexdigest()
    settings = entry(server, name, sha256=digest)
    URL.fetch(settings, project / "raw" / "mine", paired=paired, root=project)
    listing = read_listing(project / "raw" / "mine")
    assert len(listing) == 48
    assert all((project / "raw" / "mine" / picture.path).is_file() for picture in listing)
    assert json.loads((project / "raw" / "mine" / "source.json").read_text())["archive"]["sha256"] == digest
    server.faults = [says(500)] * 9
    URL.fetch(settings, project / "raw" / "mine", paired=paired, root=project)  # from the cache
    assert len(server.asked) == 1


def place(settings: object) -> Path:
    return url.cache() / URL.place(settings)


def test_an_archive_whose_hash_nobody_knows_is_pinned(server: Server, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = entry(server, "sides.zip")
    before = URL.identity(settings, project)
    URL.fetch(settings, project / "raw" / "mine", paired=True, root=project)
    assert "is pinned in data/pins.json, which should be committed" in capsys.readouterr().out
    assert URL.identity(settings, project) == before
    pins = json.loads((project / "data/pins.json").read_text())
    assert pins[server.address("sides.zip")]["sha256"] == hashlib.sha256(server.files["sides.zip"]).hexdigest()
    place(settings).unlink()
    server.files["sides.zip"] = server.files["joined.tar.gz"]
    pinned = f"and you want the new one, take {server.address('sides.zip')} out of {project}/data/pins.json"
    with pytest.raises(UserError, match="gave a file with SHA-256") as error:
        URL.fetch(settings, project / "raw" / "mine", paired=True, root=project)
    assert pinned in str(error.value)
    assert len(read_listing(project / "raw" / "mine")) == 48, "what was fetched stays"
    place(settings).write_bytes(server.files["sides.zip"])
    with pytest.raises(UserError, match="found SHA-256") as error:
        URL.fetch(settings, project / "raw" / "mine", paired=True, root=project)
    assert pinned in str(error.value)


@pytest.mark.parametrize("pinned", [True, False])
def test_another_address_of_the_same_file_name_is_another_archive(server: Server, project: Path, pinned: bool) -> None:
    """Neither gets the other's pictures, hash or card, and neither puts the other out of the cache."""
    bodies = {"one/data.zip": server.files["sides.zip"], "two/data.zip": zip_of(*[(f"set/train/{n}.png", png(n, 64)) for n in range(24)])}
    server.files |= bodies
    entries = {
        name: entry(server, name, **({} if pinned else {"sha256": hashlib.sha256(body).hexdigest()})) for name, body in bodies.items()
    }
    for _ in range(2):
        for name, settings in entries.items():
            URL.fetch(settings, project / "raw" / "mine", paired=True, root=project)
            archive = json.loads((project / "raw" / "mine" / "source.json").read_text())["archive"]
            assert archive == {"name": server.address(name), "sha256": hashlib.sha256(bodies[name]).hexdigest()}
    assert [path for path, _ in server.asked] == [f"/{name}" for name in bodies]
    assert (project / "data/pins.json").exists() == pinned
    if pinned:
        pins = json.loads((project / "data/pins.json").read_text())
        assert {name: pin["sha256"] for name, pin in pins.items()} == {
            server.address(name): hashlib.sha256(body).hexdigest() for name, body in bodies.items()
        }


def test_mirrors_of_one_hash_share_a_file_and_any_address_has_a_name(server: Server, project: Path) -> None:
    digest = "a" * 64
    places = {URL.place(entry(server, "x", url=[address], sha256=digest)) for address in ("https://a/x.zip", "https://b/y/x.zip?v=2#top")}
    assert places == {Path("a" * 16, "x.zip")}
    for address in ("https://a", "https://a/", "https://a/..", "https://a/?x=/y"):
        assert URL.place(entry(server, "x", url=address)).name == "archive"


def test_a_file_placed_by_hand_is_as_good_and_a_wrong_one_is_told(
    server: Server, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = entry(server, "sides.zip", sha256=hashlib.sha256(server.files["sides.zip"]).hexdigest())
    place(settings).parent.mkdir(parents=True)
    place(settings).write_bytes(server.files["sides.zip"])
    URL.fetch(settings, project / "raw" / "mine", paired=True, root=project)
    assert not server.asked
    (told,) = (line for line in capsys.readouterr().err.splitlines() if "nothing is downloaded" in line)
    assert told.startswith(f"sides.zip: found at {place(settings)} (SHA-256 ")
    place(settings).write_bytes(b"tampered with")
    with pytest.raises(UserError, match=r"sides\.zip: found SHA-256 .*, expected .*; remove it, then run the fetch stage again"):
        URL.fetch(settings, project / "raw" / "mine", paired=True, root=project)


def test_a_mirror_is_asked_first(server: Server, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(url.MIRROR, server.address("mirror/"))
    settings = entry(server, "sides.zip")
    server.files[f"mirror/{URL.place(settings)}"] = server.files["sides.zip"]
    URL.fetch(settings, project / "raw" / "mine", paired=True, root=project)
    assert [name for name, _ in server.asked] == [f"/mirror/{URL.place(settings)}"]


def test_without_a_network_the_file_the_address_and_the_place_are_named(server: Server, project: Path) -> None:
    settings = SOURCES["horse2zebra"].Settings(source="horse2zebra", kimg=1.0)
    SOURCES["horse2zebra"].check(settings, project)
    source = SOURCES["horse2zebra"]
    assert source.place(settings) == Path("cyclegan-horse2zebra.zip")
    assert source.addresses(settings)[0].endswith("/cyclegan/datasets/horse2zebra.zip")
    wanted = entry(server, "gone.zip", url="http://127.0.0.1:9/gone.zip")
    with pytest.raises(UserError, match=rf"gone\.zip by other means and place it at {place(wanted)}, or name"):
        URL.fetch(wanted, project / "raw" / "mine", paired=True, root=project)
    place(wanted).write_bytes(server.files["sides.zip"])
    URL.fetch(wanted, project / "raw" / "mine", paired=True, root=project)
    shutil.rmtree(project / "raw")
    assert not (project / "raw").exists() or not list((project / "raw").iterdir())


def test_a_canonical_set_with_another_number_of_pictures_is_told(server: Server, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(url.MIRROR, server.address(""))
    server.files["pix2pix-facades.tar.gz"] = server.files["joined.tar.gz"]
    source = SOURCES["facades"]
    settings = source.Settings(source="facades", kimg=1.0, image_size=32)
    with pytest.raises(UserError, match=r"facades\.tar\.gz: found \(24, 24\) pictures of A and B in train, expected \(400, 400\)"):
        source.fetch(settings, project / "raw" / "facades", paired=True, root=project)


def test_a_canonical_set(server: Server, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(url.MIRROR, server.address(""))
    members = [(f"maps/{split}/{n}.png", png(n + 1000 * (split == "val"), 64)) for split in ("train", "val") for n in range(20)]
    server.files["pix2pix-maps.tar.gz"] = tar_of(*members)
    source = SOURCES["maps"]
    monkeypatch.setattr(source, "counts", {"train": (20, 20), "val": (20, 20)})
    settings = source.Settings(source="maps", kimg=1.0, image_size=32)
    assert settings.direction == "BtoA"
    source.fetch(settings, project / "raw" / "maps", paired=True, root=project)
    listing = read_listing(project / "raw" / "maps")
    counts = {split: sum(picture.split == split and picture.side == "A" for picture in listing) for split in ("train", "val", "test")}
    assert counts == {"train": 18, "val": 2, "test": 20}, "what is published as val is the paper's test set"
    assert "maps: maps: map → aerial photograph: Google Maps' terms; for research; cite Isola et al., CVPR 2017" in capsys.readouterr().err


def test_a_set_that_was_withdrawn_must_be_placed_by_hand(project: Path) -> None:
    source = SOURCES["cityscapes"]
    with pytest.raises(
        UserError, match=r"pix2pix-cityscapes\.tar\.gz: not found, and its publisher no longer offers it .*place your own copy"
    ):
        source.check(source.Settings(source="cityscapes", kimg=1.0), project)


@pytest.mark.parametrize("bad", ["ftp://x/y.zip", [], "y.zip"])
def test_an_address_that_is_none(server: Server, bad: object) -> None:
    with pytest.raises(UserError, match=r"params\.yaml: datasets\.mine\.url: found"):
        entry(server, "x", url=bad)
