"""Tab completion: a script for bash (and zsh by bashcompinit), and the answers it asks for.

    eval "$(forecast completion)"

The script hands over the line up to the cursor; the answer is every word that the last one on it could become.
"""

from collections.abc import Sequence
from pathlib import Path

from forecast.experiment import help
from forecast.experiment.members import CONF

FLAGS = ("--help", "--version", "--debug", "-m", "--config-dir")

# Bash takes a word apart at = and : and wants back only what comes after the last of them.
SCRIPT = """_forecast() {
    local line="${COMP_LINE:0:COMP_POINT}" word IFS=$'\\n'
    word="${line##*[[:space:]]}"
    COMPREPLY=($(forecast completion "line=$line" 2>/dev/null))
    local part="${word%"${word##*[=:]}"}"
    [ -z "$part" ] || COMPREPLY=("${COMPREPLY[@]#"$part"}")
    [[ ${#COMPREPLY[@]} -ne 1 || "${COMPREPLY[0]}" == *[=/] ]] || COMPREPLY[0]+=' '
}
complete -o nospace -o default -F _forecast forecast"""


def answer(typed: Sequence[str], overlay: Path | None) -> str:
    """The script, or the completions of `line=…`, one on each line."""
    line = next((word.removeprefix("line=") for word in typed if word.startswith("line=")), None)
    return SCRIPT if line is None else "\n".join(complete(line, overlay))


def complete(line: str, overlay: Path | None = None) -> list[str]:
    """What the last word of the line could become."""
    *before, last = line.split(" ")
    given = [word for word in before[1:] if word and not word.startswith("-")]
    if last.startswith("-"):
        return [flag for flag in FLAGS if flag.startswith(last)]
    if not given:
        return [verb for verb in help.verbs() if verb.startswith(last)]
    verb = given[0].partition("=")[0]
    if verb not in help.verbs():
        return []
    chosen = dict(word.split("=", 1) for word in given if "=" in word)
    return [word for word in _words(verb, chosen, last, overlay) if word.startswith(last)]


def _words(verb: str, chosen: dict[str, str], last: str, overlay: Path | None) -> list[str]:
    """Keys of the verb; the words of a group, or of a type with few values, once its key is typed."""
    key, equals, _ = last.partition("=")
    found = help.keys(verb, chosen)
    if not equals:
        return [*(["data="] if "data.name" in found else []), *(f"{name}=" for name in found)]
    if key == "data":
        from forecast.experiment.data import names

        own = [file.stem for file in (overlay or CONF).glob("data/*.yaml")]
        return [f"data={name}" for name in sorted({*names(), *own})]
    words = help.choices([key]).get(key, []) or help.values(verb, key, chosen)
    return [f"{key}={word}" for word in words]
