"""The command line: forecast VERB [key=value …]. Errors become one line and an exit code: 0 fine, 1 error, 2 wrong
input, 3 alarms.

Nothing heavy is imported here or by what is imported at the top: help has to come at once.
"""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from forecast.errors import ForecastError, InputError, unknown
from forecast.experiment import completion, help

# No pickle is ever loaded and nobody is called home, whatever the surroundings say; the libraries look when imported.
ENVIRONMENT = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}
# Of freed memory glibc gives back all but little, and every page of it costs anew: half of the time of a layer with its gradient.
HELD = {"MALLOC_TRIM_THRESHOLD_": (-1, 256 << 20), "MALLOC_MMAP_THRESHOLD_": (-3, 32 << 20)}  # mallopt's words and bytes
INTERRUPTED = 130


class Command(NamedTuple):
    """The command line taken apart."""

    words: list[str]
    flags: frozenset[str]
    overlay: Path | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    os.environ.update(ENVIRONMENT)
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    debug = "--debug" in arguments
    try:
        return run(parse(arguments))
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            raise
        return complain(error)


def hold_memory() -> None:
    """Let this process, and those that it starts, keep up to 256 MiB of freed memory, unless the surroundings have decided."""
    import ctypes

    if sys.platform != "linux" or any(word in os.environ for word in HELD) or "GLIBC_TUNABLES" in os.environ:
        return
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return
    for word, (option, size) in HELD.items():
        os.environ[word] = str(size)
        library.mallopt(option, size)


def complain(error: BaseException) -> int:
    """Say in one line what went wrong; returns the exit code."""
    if isinstance(error, KeyboardInterrupt):
        line, code = "stopped", INTERRUPTED
    elif isinstance(error, ForecastError):
        line, code = str(error), error.exit_code
    elif isinstance(error, OSError) and error.filename:
        line, code = f"{error.filename}: {error.strerror}", 1
    else:
        line, code = f"{type(error).__name__}: {error}; --debug shows where", 1
    print("forecast:", " ".join(line.split()), file=sys.stderr)
    return code


def parse(arguments: Sequence[str]) -> Command:
    """Flags and words apart."""
    words, flags, overlay = [], set(), None
    rest = iter(arguments)
    for argument in rest:
        if argument in ("--help", "-h", "--version", "--debug", "-m"):
            flags.add("--help" if argument == "-h" else argument)
        elif argument == "--config-dir" or argument.startswith("--config-dir="):
            folder = argument.partition("=")[2] or next(rest, "")
            if not folder:
                raise InputError("--config-dir needs a folder")
            overlay = Path(folder)
        elif argument.startswith("-"):
            raise unknown("flag", argument, ["--help", "--version", "--debug", "-m", "--config-dir"])
        else:
            words.append(argument)
    return Command(words, frozenset(flags), overlay)


def run(command: Command) -> int:
    """Do what the command says."""
    if "--version" in command.flags:
        from importlib.metadata import version

        print(f"forecast {version('forecast')}")
        return 0
    if not command.words or command.words == ["help"]:
        print(help.overview())
        return 0 if command.flags or command.words else InputError.exit_code
    verb, _, name = command.words[0].partition("=")
    typed = [*([command.words[0]] if name else []), *command.words[1:]]
    if verb == "completion":
        print(completion.answer(typed, command.overlay))
        return 0
    if verb not in help.verbs():
        raise unknown("verb", verb, help.verbs())
    if "--help" in command.flags:
        print(help.of(verb, dict(word.split("=", 1) for word in typed if "=" in word)))
        return 0
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("forecast").setLevel(logging.INFO)
    return execute(verb, typed, command)


def execute(verb: str, typed: list[str], command: Command) -> int:
    """Compose the runs of a verb, and do them one after the other."""
    from forecast.experiment import compose, runs

    resume = next(
        (word.partition("=")[2] for word in typed if word.startswith("resume=") and word != "resume=null"), None
    )
    if resume is not None:
        out = Path(next((word.partition("=")[2] for word in typed if word.startswith("out=")), "outputs"))
        folder = runs.find(resume, out, [verb], finished=False)
        return one(
            verb,
            compose.resumed(folder, verb, [word for word in typed if not word.startswith(("resume=", "out="))]),
            folder,
        )
    sweeping = "-m" in command.flags
    jobs = compose.read(verb, typed, command.overlay, sweeping)
    if not sweeping:
        ((_, config),) = jobs
        return one(verb, config, runs.new(Path(config.out), verb))
    sweep = runs.new(Path(jobs[0][1].out), verb)
    codes = []
    for index, (words, config) in enumerate(jobs):
        print(f"run {index + 1} of {len(jobs)}: {' '.join(words)}", file=sys.stderr)
        (sweep / str(index)).mkdir()
        try:
            codes.append(one(verb, config, sweep / str(index)))
        except Exception as error:
            if "--debug" in command.flags:
                raise
            codes.append(complain(error))
    return next((code for code in (1, 2, 3) if code in codes), 0)


def one(verb: str, config: Any, folder: Path) -> int:
    """One run in its folder: the configuration is saved first, the link is moved when it has come to its end."""
    import importlib

    from forecast.experiment import config as configs
    from forecast.experiment import runs

    if not (folder / "config.yaml").exists():
        configs.save(config, folder / "config.yaml")
    if isinstance(data := getattr(config, "data", None), configs.Data):
        data.check()
    if verb != "watch":  # which runs for months beside others, and allocates little
        hold_memory()
    code: int = importlib.import_module(configs.module(verb)).run(config, folder)
    if code in (0, 3):
        runs.finish(folder, Path(config.out) / verb)
    return code


if __name__ == "__main__":
    sys.exit(main())
