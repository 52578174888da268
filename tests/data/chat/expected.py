"""Writes expected.json: what transformers' Jinja makes of the templates here. Needs transformers and jinja2."""

import datetime
import json
import pathlib

from transformers.utils import chat_template_utils

NOW = datetime.datetime(2024, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
BRACKETS = {"bos_token": "<s>", "eos_token": "</s>"}
TOKENS = {
    "llama2": BRACKETS,
    "llama3": {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
    "mistral": BRACKETS,
    "mixtral": BRACKETS,
    "gemma2": {"bos_token": "<bos>", "eos_token": "<eos>"},
    "gemma3": {"bos_token": "<bos>", "eos_token": "<eos>"},
    "phi3": {"bos_token": "<s>", "eos_token": "<|endoftext|>"},
}


def said(*pairs):
    return [{"role": role, "content": content} for role, content in pairs]


CHATS = [
    said(("user", "What is a rank?")),
    said(("system", "Be brief."), ("user", " Wie heißt\r\n\r\ndu? 猫 <b>'\"\n")),
    said(("user", "Hi"), ("assistant", "<think>\nhm\n</think>\n\nHello."), ("user", "And {{ now }}?")),
    said(("system", "/no_think\nTell it in {% raw %}"), ("user", "a"), ("assistant", "b"), ("user", "c")),
    said(("user", "one"), ("user", "two")),
    said(("user", "")),
]


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = Clock


def outcome(template, chat, tokens):
    try:
        texts, _ = chat_template_utils.render_jinja_template([chat], chat_template=template, add_generation_prompt=True, **tokens)
        return {"messages": chat, "text": texts[0]}
    except Exception as error:
        return {"messages": chat, "error": str(error)}


folder = pathlib.Path(__file__).parent
families = {}
for path in sorted(folder.glob("*.jinja")):
    tokens = TOKENS.get(path.stem, {})
    families[path.stem] = {"tokens": tokens, "chats": [outcome(path.read_text(), chat, tokens) for chat in CHATS]}
(folder / "expected.json").write_text(json.dumps(families, indent=1, ensure_ascii=False) + "\n")
