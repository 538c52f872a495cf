"""`pyproject.toml` of an algorithm."""

from __future__ import annotations

from pathlib import Path

import pytest

from compox_core.algorithms.config import ALGORITHM_TYPES, AlgorithmConfig, parse_pyproject
from compox_core.algorithms.declarations import displayed_name
from compox_core.errors import PackageError
from compox_core.records import Parameter

ALGORITHMS = Path(__file__).parents[1] / "artefacts" / "interop" / "algorithms"
PROJECT = '[project]\nname = "blur"\nversion = "1.2"\n'
QUIET = 'algorithm_type = "Generic"\ntags = ["a"]\ndescription = "d"\n'


def parse(section: str = "", project: str = PROJECT) -> tuple[AlgorithmConfig, list[str]]:
    return parse_pyproject(f"{project}[tool.compox]\n{QUIET}{section}", "pyproject.toml")


def issues(text: str | bytes) -> list[str]:
    with pytest.raises(PackageError) as caught:
        parse_pyproject(text, "The file")
    assert caught.value.code == "invalid_pyproject"
    assert str(caught.value).startswith("The file cannot be ")
    found: list[str] = caught.value.details["issues"]
    assert all(issue in str(caught.value) for issue in found)
    return found


def section_issues(section: str) -> list[str]:
    head = "" if "algorithm_type" in section or "tags" in section or "description" in section else QUIET
    return issues(f"{PROJECT}[tool.compox]\n{head}{section}")


def declared(config: str, **keys: str) -> str:
    others = "".join(f", {key} = {value}" for key, value in keys.items())
    return f'additional_parameters = [{{ name = "p", description = "d", config = {{ {config} }}{others} }}]'


def parameter(config: str, **keys: str) -> Parameter:
    [one] = parse(declared(config, **keys))[0].metadata.additional_parameters
    return one


# -- the whole file -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["box_mean", "level_cut", "two_regions"])
def test_the_files_of_compox_3_are_read(name: str) -> None:
    """Algorithms that the ancestor deployed parse without an issue."""
    config, _ = parse_pyproject((ALGORITHMS / name / "pyproject.toml").read_bytes(), "pyproject.toml")
    assert config.name == name


def test_everything_that_is_declared_arrives() -> None:
    """A full file gives its metadata, its parameters with their texts, and its flags."""
    config, warnings = parse_pyproject((ALGORITHMS / "level_cut" / "pyproject.toml").read_bytes(), "pyproject.toml")
    assert (config.name, config.major, config.minor) == ("level_cut", "2", 3)
    assert (config.removable, config.exportable, config.obfuscate) == (True, True, True)
    metadata = config.metadata
    assert metadata.algorithm_type == "Image2Segmentation"
    assert metadata.tags == ["image-segmentation", "Learned"]
    assert (metadata.supported_devices, metadata.default_device) == (["cpu", "gpu"], "cpu")
    [offset] = metadata.additional_parameters
    assert (offset.name, offset.displayed_name, offset.config.step) == ("offset", "Offset", 0.05)
    assert [p.name for p in metadata.training_parameters] == ["steps"]
    assert warnings == []


def test_defaults_without_a_section() -> None:
    """Name and version are enough; one warning says that the rest was not declared."""
    config, warnings = parse_pyproject(PROJECT, "pyproject.toml")
    assert (config.name, config.major, config.minor) == ("blur", "1", 2)
    assert (config.removable, config.exportable) == (False, True)
    assert (config.obfuscate, config.pyc_only, config.check_importable) == (True, False, False)
    assert config.metadata.algorithm_type == "Undefined"
    assert (config.metadata.supported_devices, config.metadata.default_device) == (["cpu"], "cpu")
    assert warnings == ["[tool.compox] is missing or empty: defaults are used for all of it."]


def test_what_should_be_declared_is_warned_of() -> None:
    """Type, tags and description are not required, but missed."""
    _, warnings = parse_pyproject(f"{PROJECT}[tool.compox]\nremovable = true\n", "pyproject.toml")
    assert warnings == [f"tool.compox.{key} is not set." for key in ("algorithm_type", "tags", "description")]


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.0", ("1", 0)), ("0.1.0", ("0", 1)), ("05.007", ("5", 7)), ("2.3.x", ("2", 3)), ("1.2.3.4", ("1", 2))],
)
def test_versions(version: str, expected: tuple[str, int]) -> None:
    """A version is MAJOR.MINOR in plain decimals; zeros in front and further parts do not count."""
    config, _ = parse(project=f'[project]\nname = "blur"\nversion = "{version}"\n')
    assert (config.major, config.minor) == expected


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("1", "needs a minor version"),
        ("", "is empty"),
        ("v1.0", "MAJOR.MINOR"),
        ("1.x", "MAJOR.MINOR"),
        ("1.0rc1", "MAJOR.MINOR"),
        ("1.", "MAJOR.MINOR"),
        (".1", "MAJOR.MINOR"),
        ("-1.0", "MAJOR.MINOR"),
        ("+1.0", "MAJOR.MINOR"),
        ("1.0.", "MAJOR.MINOR"),
        (" 1.0", "MAJOR.MINOR"),
        ("1_0.0", "MAJOR.MINOR"),
        ("١.٢", "MAJOR.MINOR"),
        ("1." + "9" * 10, "at most 9 digits"),
        ("1." + "9" * 5000, "at most 9 digits"),
        ("9" * 5000, "needs a minor version"),
    ],
)
def test_versions_that_are_none(version: str, said: str) -> None:
    """Anything else is an issue at project.version, short whatever was given."""
    [issue] = issues(f'[project]\nname = "blur"\nversion = "{version}"\n')
    assert issue.startswith("project.version ") and said in issue and len(issue) < 250


def test_name_and_major_of_the_request_replace_those_of_the_file() -> None:
    """A deploy may say another name and major version; the minor is that of the file."""
    config, _ = parse_pyproject(PROJECT, "x", name="sharpen", major="07")
    assert (config.name, config.major, config.minor) == ("sharpen", "7", 2)
    assert parse_pyproject('[project]\nversion = "1.2"', "x", name="sharpen")[0].name == "sharpen"
    with pytest.raises(PackageError, match="the major version must be a whole number"):
        parse_pyproject(PROJECT, "x", major="v2")
    with pytest.raises(PackageError) as caught:
        parse_pyproject(PROJECT, "x", name="a b")
    assert caught.value.code == "invalid_algorithm_name"


def test_a_bad_name_is_one_issue_among_others_or_an_error_of_its_own() -> None:
    """With other issues the name is told beside them; alone it has a code of its own."""
    with pytest.raises(PackageError) as caught:
        parse_pyproject('[project]\nname = "a/b"\nversion = "1.0"', "x")
    assert caught.value.code == "invalid_algorithm_name"
    found = issues('[project]\nname = "a/b"\nversion = "1"')
    assert len(found) == 2 and "solidus" in found[0]


def test_every_issue_is_told_at_once() -> None:
    """All that is wrong in a file is in one error, each with its dotted place."""
    found = issues(
        '[project]\nversion = 1\n[tool.compox]\nalgorithm_type = "image2image"\ntags = "a"\ndescription = 1\n'
        'supported_devices = ["cuda"]\nremovable = "yes"\npyc_only = 1\nadditional_parameters = [1, {name = "p"}]\n'
    )
    assert [issue.split(" ")[0] for issue in found] == [
        "project.name",
        "project.version",
        "tool.compox.algorithm_type",
        "tool.compox.tags",
        "tool.compox.description",
        "tool.compox.supported_devices",
        "tool.compox.additional_parameters[0]",
        "tool.compox.additional_parameters[1]",
        "tool.compox.removable",
        "tool.compox.pyc_only",
    ]
    assert "did you mean 'Image2Image'?" in found[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "project.name is missing"),
        ("[project", "not valid TOML"),
        ('name = "a"\nname = "b"', "not valid TOML"),
        (b'[project]\nname = "caf\xe9"', "not UTF-8 text (byte 21)"),
        (b"\x00\x00", "not valid TOML"),
        ("a = " + "[" * 5000, "nested too deeply"),
        ("a = " + "9" * 5000, "not valid TOML"),
        ("project = 1", "[project] must be a table"),
        ("tool = []", "[tool] must be a table"),
        ("tool.compox = 1", "[tool.compox] must be a table"),
        ('[project]\nname = "a"\ndynamic = ["version"]', "project.version is missing; a dynamic one is not computed"),
        ('[project]\nname = ""\nversion = "1.0"', "project.name is empty"),
        ('[project]\nname = 5\nversion = "1.0"', "project.name must be a string, not 5"),
    ],
)
def test_broken_files(text: str | bytes, said: str) -> None:
    """A file that is no TOML, or lacks what is required, is named with the reason."""
    assert said in "\n".join(issues(text))


def test_a_byte_order_mark_is_no_problem() -> None:
    """Some editors write one."""
    assert parse_pyproject(b"\xef\xbb\xbf" + PROJECT.encode(), "x")[0].name == "blur"


# -- [tool.compox] --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALGORITHM_TYPES)
def test_every_type_can_be_declared(kind: str) -> None:
    """The types of compox 3, and Segmentation2Segmentation."""
    config, _ = parse_pyproject(f'{PROJECT}[tool.compox]\nalgorithm_type = "{kind}"', "x")
    assert config.metadata.algorithm_type == kind


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ('supported_devices = ["cpu", "gpu"]', (["cpu", "gpu"], "cpu")),
        ('supported_devices = ["gpu"]', (["gpu"], "gpu")),
        ('supported_devices = ["gpu", "mps"]\ndefault_device = "mps"', (["gpu", "mps"], "mps")),
        ('supported_devices = ["gpu", "gpu"]', (["gpu"], "gpu")),
    ],
)
def test_devices(section: str, expected: tuple[list[str], str]) -> None:
    """Without a default device it is the CPU, or the first device where the CPU is not supported."""
    metadata = parse(section)[0].metadata
    assert (metadata.supported_devices, metadata.default_device) == expected


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("supported_devices = []", "supported_devices must name at least one device"),
        ('supported_devices = ["cuda"]', "'cuda' is unknown; known are cpu, gpu, mps"),
        ('supported_devices = "cpu"', "supported_devices must be a list"),
        ("supported_devices = [1]", "supported_devices must hold strings, not 1"),
        ('default_device = "gpu"', "default_device 'gpu' is not among supported_devices (cpu)"),
        ('default_device = ""', "default_device '' is not among"),
        ('algorithm_type = "Image2Imag"', "did you mean 'Image2Image'?"),
        ("tags = [1]", "tags must hold strings"),
        ("description = []", "description must be a string"),
        ('exportable = "false"', "exportable must be true or false"),
        ("additional_parameters = {}", "additional_parameters must be a list"),
        ("training_parameters = [1]", "training_parameters[0] must be a table"),
        ("benchmark_outputs = 1", "benchmark_outputs must be a list"),
    ],
)
def test_wrong_fields(section: str, said: str) -> None:
    """A field of the wrong type or value is an issue that names it."""
    [issue] = section_issues(section)
    assert said in issue and issue.startswith("tool.compox.")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("obfuscat = true", "tool.compox.obfuscat is unknown and ignored; did you mean 'obfuscate'?"),
        ("quux = true", "tool.compox.quux is unknown and ignored; known are algorithm_type,"),
        ("hash_module = true", "tool.compox.hash_module is deprecated"),
        ("hash_assets = false", "tool.compox.hash_assets is deprecated"),
        (declared('type = "int", default = 1, maximum = 3'), "additional_parameters[0] (p).config.maximum is unknown"),
        (declared('type = "int", default = 1', display_name='"x"'), "did you mean 'displayed_name'?"),
        (declared('type = "int"'), "(p).config.default is not set"),
        (declared('type = "int_list", default = [1]'), "(p).config.options is empty"),
        (declared('type = "int_range", default = 9, min = 0, max = 3, step = 1'), "default 9 is not within min and"),
        ('additional_parameters = [{ description = "d", config = { type = "int", default = 1 } }]', "has no name"),
        ('additional_parameters = [{ name = "p", config = { type = "int", default = 1 } }]', "(p) has no description"),
    ],
)
def test_warnings(section: str, said: str) -> None:
    """What is doubtful, unknown or deprecated is told and deploys."""
    [warning] = parse(section)[1]
    assert said in warning


# -- parameters -----------------------------------------------------------------------------------------------------

RIGHT = [
    'type = "string", default = "a"',
    'type = "int", default = -3',
    'type = "float", default = 0.5',
    'type = "bool", default = false',
    'type = "int_range", default = 3, min = 1, max = 9, step = 2',
    'type = "float_range", default = 0.1, min = 0.0, max = 1.0, step = 0.05, decimal_precision = 2',
    'type = "string_enum", default = "otsu", options = ["otsu", "li"]',
    'type = "int_enum", default = 3, options = [3, 5, 7]',
    'type = "float_enum", default = 0.5, options = [0.5, 1.5], decimal_precision = 0',
    'type = "string_list", default = ["a"], options = ["a", "b"]',
    'type = "int_list", default = [1], options = [[1, 2], [3]]',
    'type = "float_list", default = [1.5, 2], options = [[1, 2.5]]',
    'type = "bool_list", default = [true], options = [[true, false]]',
]


@pytest.mark.parametrize("config", RIGHT)
def test_all_types_of_parameters(config: str) -> None:
    """Each of the 13 types parses without a warning, and keeps what was declared."""
    parsed, warnings = parse(declared(config + ", adjustable = true"))
    assert warnings == []
    [one] = parsed.metadata.additional_parameters
    assert one.config.adjustable is True
    assert one.config.default is not None


def test_the_types_are_thirteen() -> None:
    """The table above is complete."""
    assert len({config.split('"')[1] for config in RIGHT}) == 13


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('type = "strings"', "config.type 'strings' is unknown; did you mean 'string'?"),
        ('type = ["int"]', "config.type ['int'] is unknown"),
        ("default = 1", "config.type None is unknown"),
        ('type = "string", default = 1', "default 1 is not a string"),
        ('type = "int", default = 1.0', "default 1.0 is not an integer"),
        ('type = "int", default = true', "default True is not an integer"),
        ('type = "float", default = 1', "default 1 is not a finite float (write 1.0, not 1)"),
        ('type = "float", default = nan', "default nan is not a finite float"),
        ('type = "float", default = inf', "default inf is not a finite float"),
        ('type = "bool", default = 1', "default 1 is not true or false"),
        ('type = "string", default = 2020-01-01', "is not a string"),
        ('type = "int_range", min = 1, max = 9', "step is required for int_range"),
        ('type = "int_range", max = 9, step = 1', "min is required for int_range"),
        ('type = "int_range", min = 0, step = 1', "max is required for int_range"),
        ('type = "int_range", min = 0, max = 1.5, step = 1', "max 1.5 is not an integer"),
        ('type = "float_range", min = 0, max = 1.0, step = 0.1', "min 0 is not a finite float"),
        ('type = "float_range", min = 0.0, max = inf, step = 0.1', "max inf is not a finite float"),
        ('type = "int_range", min = 3, max = 3, step = 1', "min 3 must be less than max 3"),
        ('type = "int_range", default = 1.5, min = 0, max = 3, step = 1', "default 1.5 is not an integer"),
        ('type = "string_enum", default = "a"', "options must not be empty for string_enum"),
        ('type = "string_enum", options = ["a", 1]', "options has 1, which is not a string"),
        ('type = "float_enum", options = [1]', "options has 1, which is not a finite float"),
        ('type = "int_enum", default = 2, options = [1, 3]', "default 2 is not among the options"),
        ('type = "int_enum", default = "1", options = [1, 3]', "default '1' is not an integer"),
        ('type = "string_list", default = "a"', "default 'a' is not a list"),
        ('type = "int_list", default = [1, "a"]', "default has 'a', which is not an integer"),
        ('type = "bool_list", options = [[1]]', "options has 1, which is not true or false"),
        ('type = "int", decimal_precision = 1', "decimal_precision belongs to float types, not to int"),
        ('type = "float", decimal_precision = -1', "decimal_precision must not be negative"),
        ('type = "float", decimal_precision = 1.5', "config.decimal_precision: Input should be a valid integer"),
        ('type = "int", options = 1', "config.options: Input should be a valid list, not 1"),
        ('type = "int_range", min = "0", max = 3, step = 1', "config.min: Input should be a valid"),
        ('type = "int", adjustable = 1', "config.adjustable: Input should be a valid boolean, not 1"),
    ],
)
def test_broken_parameters(config: str, said: str) -> None:
    """A parameter that breaks a rule of its type is refused, and the issue names the parameter and the rule."""
    found = section_issues(declared(config))
    assert any(said in issue for issue in found)
    assert all(issue.startswith("tool.compox.additional_parameters[0] (p).config") for issue in found)


def test_a_parameter_without_rules_or_twice_is_refused() -> None:
    """`config` is required, and a name stands once in a list."""
    assert "config must be a table with a type" in section_issues('training_parameters = [{ name = "p" }]')[0]
    twice = 'training_parameters = [{ name = "p", config = { type = "int" } }, { name = "p", config = {type="int"} }]'
    assert section_issues(twice) == ["tool.compox.training_parameters declares the name 'p' more than once"]


def test_huge_numbers_are_no_trouble() -> None:
    """Numbers beyond floating point are integers like any other, and no floats."""
    assert parameter(f'type = "int", default = {10**400}').config.default == 10**400
    assert "is not a finite float" in section_issues(declared(f'type = "float", default = {10**400}'))[0]


def test_an_enum_without_default_takes_its_first_option() -> None:
    """As compox 3 does; the other types without a default have none."""
    assert parameter('type = "string_enum", options = ["b", "a"]').config.default == "b"
    assert parameter('type = "string"').config.default is None


def test_names_are_shown_as_words() -> None:
    """Without a displayed name it is made from the name."""
    assert displayed_name("denoising_weight") == "Denoising weight"
    assert displayed_name("__a--b__c ") == "A b c"
    assert displayed_name("éa") == "Éa"
    assert displayed_name("") == ""
    assert parameter('type = "int", default = 1', displayed_name='"Box Size"').displayed_name == "Box Size"


@pytest.mark.parametrize(("text", "seconds"), [("30", 30.0), ("0.5", 0.5), ("1e3", 1000.0)])
def test_limits_of_time_and_of_tries(text: str, seconds: float) -> None:
    """A number of seconds, and how many more times a run may begin."""
    config, _ = parse_pyproject(f"{PROJECT}[tool.compox]\ntimeout_s = {text}\nretry = 2\n", "x")
    assert (config.metadata.timeout_s, config.metadata.retry) == (seconds, 2)
    plain, _ = parse_pyproject(PROJECT, "x")
    assert (plain.metadata.timeout_s, plain.metadata.retry) == (None, 0)


@pytest.mark.parametrize(
    "line",
    [
        *(f"timeout_s = {value}" for value in ("0", "-1", "true", '"30"', "inf", "nan", "[1]", "1" + "0" * 400)),
        *(f"retry = {value}" for value in ("-1", "11", "1.0", "true", '"1"')),
    ],
)
def test_limits_that_are_none(line: str) -> None:
    """Each is an issue that names the key and what it may be."""
    with pytest.raises(PackageError, match=rf"tool\.compox\.{line.split()[0]} must be a"):
        parse_pyproject(f"{PROJECT}[tool.compox]\n{line}\n", "x")
