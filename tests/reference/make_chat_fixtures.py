"""Writes tests/fixtures/chat: what transformers makes of conversations with the templates in that folder.

    python tests/reference/make_chat_fixtures.py [FOLDER]

FOLDER has templates of other people, `*.jinja`, which are not ours to check in; more conversations are tried on them. What
retune makes of them is compared by

    RETUNE_CHAT_TEMPLATES=FOLDER cargo test -p retune -p retune-data --lib every_template

The templates are ours. They use what the templates of well-known models use, after which they are named: SmolLM2 (`chatml`),
Llama 3.1, Qwen 3, Gemma 3, Mistral, Zephyr and Phi 4; `marked` has `{% generation %}`, `oddities` is a list of what Jinja does.
The tokenizer is a byte-level BPE of a few hundred tokens, made here. `expected.json` has for each template and conversation, with
and without the prompt of the next turn, the text and its token ids, the assistant's tokens where the template marks them, or
what it said when it refused.
"""

import datetime
import json
import pathlib
import sys

import jinja2
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

OWN = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "chat"
FOLDER = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else OWN
SPECIAL = [
    "<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>", "<|im_sep|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
    "<start_of_turn>", "<end_of_turn>", "<|user|>", "<|assistant|>", "<|system|>", "[INST]", "[/INST]",
]
# What strftime_now writes here and in the test.
DATE = datetime.datetime(2026, 11, 26)

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city, in °C <now>",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 1}, "scale": {"type": "number", "default": 1.0}},
            "required": ["city"],
        },
    },
}
CALL = [{"id": "abcdefghi", "type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 2, "at": None, "x": 1e-05}}}]


def says(*pairs, **more):
    return {"messages": [{"role": role, "content": content} for role, content in pairs], **more}


CONVERSATIONS = {
    "single": says(("user", "What is two and two?"), ("assistant", "Four.")),
    "system": says(("system", " Be brief. "), ("user", "Hello"), ("assistant", "Hi")),
    "several": says(("user", "one"), ("assistant", "two"), ("user", "three"), ("assistant", "four")),
    "empty": says(("user", "Say nothing."), ("assistant", "")),
    "space": says(("user", "  indented\n\n"), ("assistant", "\n\n  text \n")),
    "unicode": says(("user", "naïve 你好 🙂"), ("assistant", "“quoted” – ½")),
    "control": says(("user", "the token <|im_end|> in a text</s>"), ("assistant", "yes")),
    "open": says(("user", "one"), ("assistant", "two"), ("user", "three")),
    "unordered": says(("user", "one"), ("user", "two"), ("assistant", "three")),
    "thoughts": says(("user", "one"), ("assistant", "<think>\nhm\n</think>\n\ntwo"), ("user", "three"), ("assistant", "<think>\nso\n</think>\n\nfour")),
    "reasoning": {
        "messages": [
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "two", "reasoning": "because", "tool_calls": None},
        ]
    },
    "parts": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": " a "}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "c"}]},
        ]
    },
    "tools": {
        "messages": [
            {"role": "system", "content": "Use tools."},
            {"role": "user", "content": "Rain?"},
            {"role": "assistant", "content": None, "tool_calls": CALL},
            {"role": "tool", "name": "weather", "tool_call_id": "abcdefghi", "content": "{\"rain\": true}"},
            {"role": "assistant", "content": "Yes, rain."},
        ],
        "tools": [WEATHER, {"type": "function", "function": {"name": "stop", "parameters": {}, "return": "nothing"}}],
    },
}

CALLS = CALL + [{"id": "bcdefghij", "type": "function", "function": {"name": "stop", "arguments": {"list": [1, 2.5, "é"], "in": {"a": True}}}}]
# As OpenAI writes arguments: JSON in a string.
WRITTEN = [{"type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Bern\"}"}}]
SCHEMA = {
    "type": "object",
    "description": "what to look for",
    "properties": {
        "words": {"type": "array", "items": {"type": "string"}, "description": "in any order", "nullable": True},
        "kind": {"type": ["string", "null"], "enum": ["a", "b"], "default": None},
        "where": {"type": "object", "properties": {"page": {"type": "integer", "minimum": 0}}, "required": []},
        "any": {"anyOf": [{"type": "string"}, {"type": "boolean"}]},
    },
    "required": ["words", "kind"],
}
SEARCH = {"type": "function", "function": {"name": "search", "description": "Looks \"it\" up", "parameters": SCHEMA, "strict": True}}
MORE = {
    "long": says(("system", "s"), *[(role, f"{role} {turn}") for turn in range(4) for role in ("user", "assistant")]),
    "quotes": says(("user", "it's \"so\" {{ odd }} \\n {% x %} </think> <|end|>"), ("assistant", "a'b\\c\td")),
    "late system": says(("user", "one"), ("assistant", "two"), ("system", "three"), ("user", "four"), ("assistant", "five")),
    "developer": says(("developer", "be kind"), ("user", "one"), ("assistant", "two")),
    "two answers": says(("user", "one"), ("assistant", "two"), ("assistant", "three")),
    "assistant first": says(("assistant", "one"), ("user", "two"), ("assistant", "three")),
    "reasoning content": {
        "messages": [
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "two", "reasoning_content": "\nfirst\n", "thinking": "t"},
            {"role": "user", "content": "three"},
            {"role": "assistant", "content": "four", "reasoning_content": "second"},
        ]
    },
    "two calls": {
        "messages": [
            {"role": "user", "content": "Rain?"},
            {"role": "assistant", "content": "Let me look.", "reasoning_content": "hm", "tool_calls": CALLS},
            {"role": "tool", "name": "weather", "tool_call_id": "abcdefghi", "content": "{\"rain\": true}"},
            {"role": "tool", "name": "stop", "tool_call_id": "bcdefghij", "content": "done"},
            {"role": "assistant", "content": "Rain."},
            {"role": "user", "content": "Thanks"},
            {"role": "assistant", "content": "Welcome."},
        ],
        "tools": [WEATHER, SEARCH],
    },
    "written arguments": {
        "messages": [
            {"role": "user", "content": "Rain?"},
            {"role": "assistant", "content": "", "tool_calls": WRITTEN},
            {"role": "tool", "content": "no"},
            {"role": "assistant", "content": "No."},
        ],
        "tools": [SEARCH],
    },
    "tools unused": {**says(("system", "s"), ("user", "one"), ("assistant", "two")), "tools": [SEARCH, WEATHER]},
    "empty tools": {**says(("user", "one"), ("assistant", "two")), "tools": []},
}
if FOLDER != OWN:
    CONVERSATIONS |= MORE


def tokenizer():
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=len(SPECIAL) + 320,
        show_progress=False,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    texts = ["what is two and two? the answer is four.\n\nuser\nassistant\nsystem\n", "the weather in a city, function and tools"]
    made.train_from_iterator(texts * 20, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>")


class Today(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return DATE


def rendered(made, template, conversation, prompt):
    try:
        out = made.apply_chat_template(
            conversation["messages"],
            tools=conversation.get("tools"),
            chat_template=template,
            add_generation_prompt=prompt,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
    except jinja2.exceptions.TemplateError as error:
        # What the template raises, and what is impossible in it, are told apart by the class.
        raised = type(error) is jinja2.exceptions.TemplateError
        return {"refused": str(error)} if raised else {"failed": str(error)}
    except Exception as error:  # Whatever Python runs into in a template: a type, a recursion without end.
        return {"failed": str(error)}
    text = made.apply_chat_template(
        conversation["messages"], tools=conversation.get("tools"), chat_template=template, add_generation_prompt=prompt, tokenize=False
    )
    mask = {"assistant": out["assistant_masks"]} if "{% generation %}" in template else {}
    return {"text": text, "ids": out["input_ids"], **mask}


def main():
    chat_template_utils.datetime = Today
    made = tokenizer()
    made.save_pretrained(FOLDER)
    for name in ("special_tokens_map.json", "chat_template.jinja"):
        (FOLDER / name).unlink(missing_ok=True)
    expected = {}
    for path in sorted(FOLDER.glob("*.jinja")):
        template = path.read_text()
        expected[path.stem] = {
            name: [rendered(made, template, conversation, prompt) for prompt in (False, True)]
            for name, conversation in CONVERSATIONS.items()
        }
    written = {"conversations": CONVERSATIONS, "expected": expected}
    (FOLDER / "expected.json").write_text(json.dumps(written, ensure_ascii=False, separators=(",", ":")) + "\n")


main()
