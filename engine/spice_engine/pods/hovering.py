"""What stands at a place of a manifest, explained."""

from __future__ import annotations

import re

from spice_engine.learning.reward_syntax import ACTION_VALUE
from spice_engine.pods.code_words import ARGS, REWARD, STATE_MEANINGS, VALUE, Code, summary
from spice_engine.pods.cursor import Cursor, find_cursor, key_at
from spice_engine.pods.outline import Declared, Outline
from spice_engine.pods.schema_keys import Key
from spice_engine.pods.schema_params import SUMMARIES
from spice_engine.pods.yaml_brackets import Entry, Steps
from spice_engine.protocol.authoring import Hover, TextPosition
from spice_engine.records import record

_WORD = re.compile(r"[A-Za-z_][\w-]*")
_CODE_WORD = re.compile(r"[A-Za-z_]\w*")
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_][\w-]*)*")
_STATE = re.compile(r"^(?:current_state|next_state|prev_state|new_state)\.")
NOTHING = Hover()


@record
class _Word:
    """A stretch of the cursor's line: columns are 0-based, the end exclusive."""

    text: str
    start: int
    end: int


def hover(place: TextPosition) -> Hover:
    """What stands at a place; nothing where there is nothing to say."""
    cursor = find_cursor(place.text, place.line, place.column)
    line = cursor.scan.lines[cursor.line]
    outline = Outline(cursor.scan)
    entry = _key_under(cursor)
    if entry is not None:
        return _key_hover(outline, entry)
    if cursor.kind == "comment":
        return NOTHING
    # The cursor is before the character it is on: a word that begins here counts.
    after = find_cursor(place.text, place.line, place.column + 1)
    if after.kind == "code":
        return _code_hover(outline, after, line, cursor.column)
    word = _word_at(_DOTTED, line, cursor.column)
    if word is None:
        return NOTHING
    value = _value_under(cursor)
    if value is not None:
        return _value_hover(outline, value, _whole(value, word), cursor.line)
    return NOTHING


def _whole(value: Entry, word: _Word) -> _Word:
    """The value as a whole where it is one word, also with signs in it (`flux-csv`)."""
    end = value.value_column + len(value.value)
    if value.value and " " not in value.value and value.value_column <= word.start < end + 1:
        return _Word(value.value, value.value_column, end)
    return word


def _key_under(cursor: Cursor) -> Entry | None:
    for entry in cursor.scan.starting_at(cursor.line):
        if entry.key is not None and entry.column <= cursor.column <= (
            entry.column + len(entry.key)
        ):
            return entry
    return None


def _value_under(cursor: Cursor) -> Entry | None:
    found = None
    for entry in cursor.scan.starting_at(cursor.line):
        if entry.value and entry.value_line == cursor.line:
            end = entry.value_column + len(entry.value) + 1
            if entry.value_column <= cursor.column <= end:
                found = entry
    return found


def _word_at(pattern: re.Pattern[str], line: str, column: int) -> _Word | None:
    for match in pattern.finditer(line):
        if match.start() <= column < match.end() or column == match.end() == len(line):
            return _Word(match[0], match.start(), match.end())
    return None


def _hover(title: str, text: str, line: int, word: _Word) -> Hover:
    return Hover(title, text, line + 1, word.start + 1, word.end + 1)


# -- keys and values


def _key_hover(outline: Outline, entry: Entry) -> Hover:
    name = entry.key or ""
    word = _Word(name, entry.column, entry.column + len(name))
    field = _field(outline, name.replace(".", "_"))
    if entry.steps[-2:-1] in (("current_state",), ("next_state",)) and field is not None:
        return _hover(field.name, _declared(field), entry.line, word)
    key = key_at(outline.scan, entry.steps)
    if key is None:
        return NOTHING
    return _hover(key.path, explain(key), entry.line, word)


def explain(key: Key) -> str:
    """All that the table of keys says of a key, a line for each fact."""
    lines = [key.meaning]
    kind = "true or false" if key.type == "flag" else key.type
    lines.append(f"Type: {kind}{', required' if key.required else ''}.")
    if key.values:
        lines.append(f"One of: {', '.join(key.values)}{' or a plugin' if key.open else ''}.")
    if key.default:
        lines.append(f"Default: {key.default}.")
    if key.example:
        lines.append(f"Example: {key.name or 'item'}: {key.example}")
    if key.old:
        lines.append(f"Old names: {', '.join(key.old)}.")
    return "\n".join(lines)


def _value_hover(outline: Outline, entry: Entry, word: _Word, line: int) -> Hover:
    steps: Steps = entry.steps
    match steps:
        case ("training", "rewards", int(), "reward") | (
            "training",
            "reward_tests",
            int(),
            "action",
        ):
            for name, declared in outline.actions:
                if name == entry.value:
                    return _hover(name, f"An action, line {declared.line + 1}.", line, word)
        case ("actions", int(), "do", "name"):
            for one in outline.effects:
                if one.path == entry.value.replace("/", "."):
                    code = outline.scan.code(one.entry).strip()
                    text = f"A dataspace's action, line {one.entry.line + 1}.\n{code}"
                    return _hover(one.path, text, line, word)
        case ("actions", int(), "do", "args", _):
            field = _field(outline, entry.value.replace(".", "_"))
            if field is not None:
                return _hover(field.dotted, _declared(field), line, word)
        case _:
            pass
    if steps[-1:] == ("name",) and entry.value in SUMMARIES:
        what = str(steps[-2]) if len(steps) > 1 else ""
        return _hover(f"{what} {entry.value}", f"It {_sentence(entry.value)}.", line, word)
    key = key_at(outline.scan, steps)
    if key is None or not (key.values or key.type == "flag"):
        return NOTHING
    return _hover(key.path, explain(key), line, word)


def _sentence(name: str) -> str:
    text = SUMMARIES[name]
    return text if text.split()[0].endswith("s") else f"reads {text}"


# -- code


def _code_hover(outline: Outline, cursor: Cursor, line: str, column: int) -> Hover:
    code = Code(outline, cursor.steps)
    word = _word_at(_CODE_WORD, line, column)
    dotted = _word_at(_DOTTED, line, column)
    if word is None or dotted is None or "#" in _before_texts(line[: word.start]):
        return NOTHING
    found = _name_in_code(code, word, dotted)
    if found is None:
        return NOTHING
    title, text, place = found
    return _hover(title, text, cursor.line, place)


def _name_in_code(code: Code, word: _Word, dotted: _Word) -> tuple[str, str, _Word] | None:
    outline = code.outline
    for place in (dotted, word):
        name = _STATE.sub("", place.text)
        in_text = _field(outline, name.replace(".", "_"))
        own = None
        if not code.is_reward and place is word:
            own = next((one for one in code.own_fields() if one.short == name), None)
        field = own or in_text
        if field is not None and (place is not dotted or place.text != word.text or own is None):
            if place is dotted and word.text in STATE_MEANINGS and word.start == place.start:
                continue  # the state's own name before the dot
            return field.name, _declared(field), place
    if dotted.text.startswith("math.") and dotted.text.count(".") == 1:
        return dotted.text, summary(dotted.text) or "A number.", dotted
    if word.text in STATE_MEANINGS and code.is_reward:
        return word.text, STATE_MEANINGS[word.text], word
    if dotted.text.startswith("args.") and not code.is_reward:
        return dotted.text, ARGS, dotted
    if word.text == "reward" and code.is_reward:
        return "reward", REWARD, word
    if word.text == ACTION_VALUE and code.valued:
        return ACTION_VALUE, VALUE, word
    variable = code.variables().get(word.text)
    if variable is not None:
        number, text = variable
        return word.text, f"Set in line {number + 1}: {text}", word
    if word.text in code.functions:
        return word.text, summary(word.text), word
    return None


def _field(outline: Outline, name: str) -> Declared | None:
    return next((one for one in outline.fields if one.name == name), None)


def _declared(field: Declared) -> str:
    what = "A part of the time" if field.kind == "time" else f"A {field.kind}"
    of = "" if field.kind == "time" else f" of {'/'.join(field.dotted.split('.')[:2])}"
    local = "\nLocal state, which actions change." if field.local else ""
    return f"{what}{of}, declared in line {field.entry.line + 1}.{local}"


def _before_texts(line: str) -> str:
    return re.sub(r"\"[^\"]*\"?|'[^']*'?", "", line)
