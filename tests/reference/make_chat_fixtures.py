"""Writes tests/fixtures/chat: what transformers makes of conversations with the templates in that folder.

    python tests/reference/make_chat_fixtures.py

The templates are ours. They use what the templates of well-known models use, after which they are named: SmolLM2 (`chatml`),
Llama 3.1, Qwen 3, Gemma 3, Mistral, Zephyr and Phi 4; `marked` has `{% generation %}`, `oddities` is a list of what Jinja does.
The tokenizer is a byte-level BPE of a few hundred tokens, made here. `expected.json` has for each template and conversation, with
and without the prompt of the next turn, the text and its token ids, the assistant's tokens where the template marks them, or
what it said when it refused.
"""

import datetime
import json
import pathlib

import jinja2
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "chat"
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
    except TypeError as error:
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
