"""The commands of `compox` that need no server: names, options and exit codes."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest
import yaml

from compox_core.bundle.keys import BundleKey
from compox_core.engine import Engine
from compox_core.settings import load_settings
from tests.cli.conftest import Shell
from tests.cli.terminal import in_terminal

SCRIPTS = Path(sys.executable).parent
COMPOX = SCRIPTS / ("compox.exe" if os.name == "nt" else "compox")
TIMEOUT = 120
BUNDLES = Path(__file__).parents[1] / "artefacts" / "interop" / "bundles"

NAMES = [
    *("run", "spawn-worker", "deploy-algorithms", "deploy-local", "delete-algorithm", "export-algorithm"),
    *("generate-config", "generate-algorithm-bundle-key"),
    *("build-algorithm-bundle", "inspect-algorithm-bundle", "import-algorithm-bundle"),
    *("debug", "test", "serve-docs", "deploy", "list", "show", "remove"),
]


def test_every_name_is_there(old_shell: Shell) -> None:
    """Each command explains itself; without a command there is help, and exit code 2."""
    for name in NAMES:
        assert old_shell(name, "--help").exit_code == 0
    assert old_shell("debug", "run", "--help").exit_code == 0
    done = old_shell()
    assert (done.exit_code, done.stdout) == (2, "")
    assert all(f"\n  {name} " in done.stderr for name in NAMES)


def test_help_loads_little() -> None:
    """The parser starts without arrays, servers and HTTP."""
    code = (
        "import sys, compox_cli.ancestor.commands\n"
        "print([name for name in ('numpy', 'h5py', 'litestar', 'httpx2', 'celery') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT, check=True)
    assert done.stdout.strip() == "[]"


# words → exit code, what stderr says
TABLE: dict[str, tuple[str, int, str]] = {
    "unknown command": ("deploy-locl", 2, "'deploy-local'"),
    "unknown option": ("delete-algorithm a 1 --minor 1", 2, "--minor"),
    "no path": ("deploy-local", 2, "Missing argument 'PATH'"),
    "no major": ("delete-algorithm a", 2, "Missing argument"),
    "no truth value": ("deploy-local x --removable maybe", 2, "'maybe' is not a valid boolean"),
    "no server's address": ("deploy-local x --server-url ftp://x", 2, "--server-url: 'ftp://x' is no address"),
    "an empty address": ("deploy-local x --server-url http://", 2, "--server-url: 'http://' is no address"),
    "nothing between polls": ("deploy-local x --async --poll-interval-s 0", 2, "more than 0"),
    "no number of seconds": ("deploy-local x --async --poll-interval-s nan", 2, "more than 0"),
    "negative time": ("deploy-local x --async --timeout-s -1", 2, "--timeout-s"),
    "no server there": ("deploy-local x --server-url 127.0.0.1:9", 1, "No answer from http://127.0.0.1:9"),
    "no server to delete from": ("delete-algorithm a 1 --server-url http://127.0.0.1:9/", 1, "No answer from"),
    "no server to export from": ("export-algorithm a 1 --server-url 127.0.0.1:9", 1, "No answer from"),
    "no folder for the export": ("export-algorithm a 1 --output-dir none", 2, "'none' does not exist"),
    "a name that leaves the folder": ("export-algorithm ../a 1", 2, "they are no paths"),
    "a configuration that is not there": ("run --config none.yaml", 2, "'none.yaml' does not exist"),
    "an unknown key of a configuration": ("run --config unknown.yaml", 1, "did you mean 'storage'"),
    "an unknown setting": ("run --storrage.fsync true", 2, "did you mean --storage.fsync?"),
    "a wrong value of a setting": ("run --port many", 1, "option --port"),
    "a word that is no setting": ("run now", 2, "a setting is written --section.key VALUE"),
    "a worker without a broker": ("spawn-worker", 1, "their executor is 'auto'"),
    "a worker with an unknown setting": ("spawn-worker --prot 1", 2, "did you mean --port?"),
    "no folder of algorithms": ("deploy-algorithms", 1, "The folder of algorithms 'algorithms' cannot be read"),
    "a path that is not there": ("deploy-algorithms --path none", 2, "'none' does not exist"),
    "a bundle's store is not said": ("build-algorithm-bundle", 2, "--config"),
    "a bundle without a key": ("inspect-algorithm-bundle --bundle-path unknown.yaml", 2, "--key"),
    "a bundle that is not there": ("inspect-algorithm-bundle --bundle-path b.zip --key k", 2, "'b.zip' does not exist"),
    "tests that are not there": ("test --test-path none --server-url http://x", 2, "'none' does not exist"),
    "tests without a configuration": ("test --test-path .", 2, "There is no file 'test_server.yaml'"),
    "documentation that was not built": ("serve-docs", 1, "`make docs`"),
    "no port": ("serve-docs --port 70000", 2, "--port"),
    "a folder to write to": ("generate-config --path .", 2, "is a directory"),
    "a place that is not there": ("generate-config --path no/config.yaml", 1, "'no/config.yaml' cannot be written"),
    "an unknown setting to write": ("generate-config --prot 1", 2, "did you mean --port?"),
}


@pytest.mark.parametrize("case", TABLE)
def test_bad_input_gets_its_exit_code_and_a_message(old_shell: Shell, home: Path, case: str) -> None:
    """No traceback, nothing on stdout, no new file; the message starts with `Error:` and says what to do."""
    (home / "unknown.yaml").write_text("storrage: {}", "utf-8")
    before = sorted(home.rglob("*"))
    line, code, says = TABLE[case]
    done = old_shell(*line.split())
    assert done.exit_code == code, done.stderr
    assert done.stdout == ""
    assert any(text.startswith("Error: ") for text in done.stderr.splitlines())
    assert says.replace("/", os.sep) in done.stderr or says in done.stderr
    assert "Traceback" not in done.stderr and "Unexpected" not in done.stderr
    assert sorted(home.rglob("*")) == before


# -- bundles --------------------------------------------------------------------------------------------------------


def test_a_key_is_new_each_time(old_shell: Shell) -> None:
    """32 random bytes as url-safe base64 without padding, 43 characters."""
    keys = [old_shell("generate-algorithm-bundle-key").stdout.strip() for _ in range(2)]
    assert keys[0] != keys[1]
    for key in keys:
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", key)
        assert len(base64.urlsafe_b64decode(f"{key}=")) == 32


@pytest.fixture
def config(store: Path, home: Path) -> Path:
    """The configuration of a store with three algorithms."""
    path = home / "compox.yaml"
    path.write_text(f"storage: {{backend_settings: {{path: '{store}'}}}}\n", encoding="utf-8")
    return path


@pytest.fixture
def other(home: Path) -> Path:
    """The configuration of another store, without any."""
    path = home / "other.yaml"
    path.write_text("storage: {backend_settings: {path: other}}\n", encoding="utf-8")
    return path


def test_a_bundle_is_built_inspected_and_imported(old_shell: Shell, config: Path, other: Path, home: Path) -> None:
    """With a new key that is printed; the format is the ancestor's, and what came in runs as what was there."""
    built = old_shell("build-algorithm-bundle", "--config", config)
    found = re.fullmatch(r"New key: ([\w-]{43})\nBundle: compox_algorithm_bundle\.zip\nObjects: (\d+)\n", built.stdout)
    assert built.exit_code == 0 and found, built.output
    with zipfile.ZipFile(home / "compox_algorithm_bundle.zip") as archive:
        assert {"manifest.json", "manifest.hmac"} <= set(archive.namelist())
    key = ("--bundle-path", "compox_algorithm_bundle.zip", "--key", found[1])
    told = json.loads(old_shell("inspect-algorithm-bundle", *key).stdout)
    assert list(told) == KEYS and told["object_count"] == int(found[2])
    assert told["object_counts_by_collection"]["algorithm-store"] == 3
    done = old_shell("import-algorithm-bundle", "--config", other, *key)
    assert done.exit_code == 0 and len(done.stdout.splitlines()) == 1 and "completed" in done.stdout
    assert "history of the shell" in done.stderr and found[1] not in done.output
    with Engine(home / "other") as engine:
        assert [each.name for each in engine.algorithms.list()] == ["scaling", "shifting", "thresholding"]


KEYS = [
    *("bundle_path", "collections", "encryption", "format", "metadata", "object_count"),
    "object_counts_by_collection",
]


def test_their_bundle_is_inspected_as_they_do(old_shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the letter, but for the path that was given; the key may come from the environment, without a warning."""
    shutil.copy(BUNDLES / "v1.zip", home)
    monkeypatch.setenv("COMPOX_BUNDLE_KEY", (BUNDLES / "v1.key").read_text("utf-8"))
    done = old_shell("inspect-algorithm-bundle", "--bundle-path", "v1.zip")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.rstrip() == (BUNDLES / "v1.inspect.json").read_text("utf-8").rstrip()


def test_our_format_by_their_names(old_shell: Shell, config: Path, other: Path, home: Path) -> None:
    """`--format 2` writes it, and the other commands find out by themselves; the key of the settings opens it."""
    key = BundleKey.generate().text()
    options = ("--output", "a.cbx", "--key", key, "--format", "2")
    built = old_shell("build-algorithm-bundle", "--config", config, *options)
    assert built.exit_code == 0 and key not in built.output
    assert (home / "a.cbx").read_bytes().startswith(b"compox-bundle/v2\n")
    told = json.loads(old_shell("inspect-algorithm-bundle", "--bundle-path", "a.cbx", "--key", key).stdout)
    assert list(told) == KEYS and f"Objects: {told['object_count']}\n" in built.stdout
    (home / "site.key").write_text(key, encoding="utf-8")
    other.write_text(
        "storage:\n  backend_settings: {path: other}\n  builtin_storage_bundle_path: a.cbx\n"
        "  builtin_storage_bundle_key: FILE:site.key\n",
        encoding="utf-8",
    )
    for _ in range(2):
        done = old_shell("import-algorithm-bundle", "--config", other)
        assert done.exit_code == 0 and "completed" in done.stdout
    with Engine(home / "other") as engine:
        assert [each.minors for each in engine.algorithms.list()] == [[0], [0], [0]]


def test_a_build_replaces_its_file(old_shell: Shell, config: Path, home: Path) -> None:
    """As theirs does, but only with a whole one."""
    (home / "a.zip").write_bytes(b"before")
    short = old_shell("build-algorithm-bundle", "--config", config, "--output", "a.zip", "--key", "hush-hush")
    assert short.exit_code == 1 and "hush" not in short.output and (home / "a.zip").read_bytes() == b"before"
    assert old_shell("build-algorithm-bundle", "--config", config, "--output", "a.zip").exit_code == 0
    assert zipfile.is_zipfile(home / "a.zip")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("import-algorithm-bundle --config {config}", "--bundle-path"),
        ("import-algorithm-bundle --config {config} --bundle-path {bundle} --key {other}", "not opened"),
        ("inspect-algorithm-bundle --bundle-path {bundle} --key {other}", "not opened"),
        ("inspect-algorithm-bundle --bundle-path {config} --key {other}", "not a bundle"),
    ],
)
def test_what_went_wrong_with_a_bundle_is_told(old_shell: Shell, config: Path, line: str, says: str) -> None:
    """Exit code 1 and nothing on stdout, where theirs says that it is done or shows a traceback."""
    other = BundleKey.generate().text()
    done = old_shell(*line.format(config=config, bundle=BUNDLES / "v1.zip", other=other).split())
    assert (done.exit_code, done.stdout) == (1, "") and says in done.stderr, done.output


# -- generate-config ------------------------------------------------------------------------------------------------


def test_a_generated_configuration_loads(old_shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults, dotted settings and the environment are in it, and no secret."""
    monkeypatch.setenv("COMPOX_STORAGE__SECRET_ACCESS_KEY", "hush-hush")
    monkeypatch.setenv("COMPOX_INFO__PRODUCT_NAME", "Here")
    done = old_shell("generate-config", "--port", "1", "--storage.collection_prefix=mine-")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "Wrote compox_config.yaml\n", "")
    text = (home / "compox_config.yaml").read_text("utf-8")
    assert "hush" not in text + done.stdout
    settings = load_settings(home / "compox_config.yaml")
    assert (settings.port, settings.storage.collection_prefix, settings.info.product_name) == (1, "mine-", "Here")
    assert list(home.iterdir()) == [home / "compox_config.yaml"]


def test_a_configuration_that_exists_is_kept_unless_told_otherwise(old_shell: Shell, home: Path) -> None:
    """Where nobody can be asked it is kept and the command fails; --no-overwrite keeps it, --overwrite replaces it."""
    path = home / "mine.yaml"
    path.write_text("port: 7", "utf-8")
    done = old_shell("generate-config", "--path", "mine.yaml")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "'mine.yaml' exists" in done.stderr and "--overwrite" in done.stderr
    done = old_shell("generate-config", "--path", "mine.yaml", "--no-overwrite")
    assert (done.exit_code, done.stdout) == (0, "Kept mine.yaml as it was.\n")
    assert path.read_text("utf-8") == "port: 7"
    assert old_shell("generate-config", "--path", "mine.yaml", "--overwrite").exit_code == 0
    assert yaml.safe_load(path.read_text("utf-8"))["port"] == 5481
    assert list(home.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither links for everybody nor modes")
def test_a_link_and_the_mode_of_a_configuration_stay(old_shell: Shell, home: Path) -> None:
    """What is replaced is the content of the file."""
    path = home / "real.yaml"
    path.write_text("port: 7", "utf-8")
    path.chmod(0o600)
    (home / "link.yaml").symlink_to(path)
    assert old_shell("generate-config", "--path", "link.yaml", "--overwrite").exit_code == 0
    assert (home / "link.yaml").is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert yaml.safe_load(path.read_text("utf-8"))["port"] == 5481


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_terminal_is_asked(home: Path) -> None:
    """No keeps the file, and so does Return, with exit code 1; yes replaces it."""
    path = home / "compox_config.yaml"
    path.write_text("port: 7", "utf-8")
    for keys in ("n\n", "\n"):
        code, shown = in_terminal(COMPOX, "generate-config", keys=keys)
        assert code == 1
        assert "Replace it? [y/N]" in shown and "Kept compox_config.yaml" in shown
        assert path.read_text("utf-8") == "port: 7"
    code, shown = in_terminal(COMPOX, "generate-config", keys="y\n")
    assert (code, "Wrote compox_config.yaml" in shown) == (0, True)


# -- test and serve-docs --------------------------------------------------------------------------------------------

CONFTEST = """
def pytest_addoption(parser):
    parser.addoption("--compox_config_path")
    parser.addoption("--compox_url")
"""

TESTS = """
def test_it(request):
    assert request.config.getoption("compox_config_path") == {config!r}
    assert request.config.getoption("compox_url") == {url!r}
"""


def write_trials(home: Path, config: str | None, url: str | None) -> Path:
    """Write tests that pass where they get these options, and a configuration."""
    (home / "trials").mkdir(exist_ok=True)
    (home / "trials" / "conftest.py").write_text(CONFTEST, "utf-8")
    (home / "trials" / "test_it.py").write_text(TESTS.format(config=config, url=url), "utf-8")
    (home / "test_server.yaml").write_text("port: 0", "utf-8")
    return home / "trials"


def call(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `compox` as a process."""
    return subprocess.run([COMPOX, *words], capture_output=True, text=True, timeout=TIMEOUT)


def test_tests_get_a_configuration_or_a_server(home: Path) -> None:
    """pytest's exit code is the command's, and results are written as XML where that was asked for."""
    folder = write_trials(home, "test_server.yaml", None)
    done = call("test", "--test-path", folder, "--junit-xml", "results.xml")
    assert done.returncode == 0, done.stdout
    assert "<testsuite" in (home / "results.xml").read_text("utf-8")
    assert call("test", "--test-path", folder, "--server-url", "http://x").returncode == 1
    write_trials(home, None, "http://x")
    assert call("test", "--test-path", folder, "--server-url", "http://x").returncode == 0
    assert call("test", "--test-path", folder / "none.py").returncode == 2
    (folder / "test_it.py").unlink()
    assert call("test", "--test-path", folder).returncode == 5  # pytest's own, for no tests


def test_without_pytest_the_message_says_what_to_install(home: Path) -> None:
    """No traceback."""
    folder = write_trials(home, None, None)
    code = (
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'pytest' else find(name, *rest)\n"
        "import sys; from compox_cli.main import compox\n"
        f"sys.argv = ['compox', 'test', '--test-path', {str(folder)!r}]\n"
        "compox()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT)
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install pytest" in done.stderr and "Traceback" not in done.stderr


def test_the_documentation_is_served_until_ctrl_c(home: Path) -> None:
    """A free port is taken on request, pages are there, nothing outside is, and Ctrl+C ends it with exit code 0."""
    (home / "html").mkdir()
    (home / "html" / "index.html").write_text("<h1>Pages</h1>", "utf-8")
    (home / "outside.txt").write_text("mine", "utf-8")
    flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code = f"{listening}import sys; sys.argv = ['compox', *sys.argv[1:]]\nfrom compox_cli.main import compox; compox()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve-docs", "--port", "0", "--directory", "html"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        creationflags=flags,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert opener.open(found[0], timeout=30).read() == b"<h1>Pages</h1>"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            opener.open(f"{found[0]}/%2e%2e/outside.txt", timeout=30)
        taken = call("serve-docs", "--port", found[0].rpartition(":")[2], "--directory", "html")
        assert taken.returncode == 1
        assert "is in use" in taken.stderr and "Traceback" not in taken.stderr
        if os.name != "nt":
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=TIMEOUT)
            assert process.returncode == 0
            assert "Traceback" not in said
    finally:
        process.kill()
        process.communicate()
