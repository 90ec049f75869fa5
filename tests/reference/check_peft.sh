#!/bin/sh
# Adapters of all kinds, exported by retune and loaded by peft:
#     tests/reference/check_peft.sh PROGRAM      (a built `export_logits`)
set -eu
program=$1
cd "$(dirname "$0")/../.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
check() {
    "$program" "tests/fixtures/$2" "$out/$1" "$out/$1.safetensors" "$3" >"$out/log"
    "${PYTHON:-python}" tests/reference/check_peft.py "$out/$1" "$out/$1.safetensors" 2>"$out/errors" || { cat "$out/errors"; exit 1; }
}
check lora families/llama-gelu '{"r": 4, "lora_alpha": 12, "target_modules": ["q_proj", "v_proj"]}'
check patterns families/qwen2 '{"r": 4, "rank_pattern": {"down_proj": 2, "layers.1.self_attn.q_proj": 6}, "alpha_pattern": {"model.layers.0.*": 3}}'
check rslora families/mistral '{"r": 4, "use_rslora": true, "target_modules": ["model.layers.{1}.*"]}'
check dora families/llama-gelu '{"method": "dora", "r": 3, "lora_alpha": 6}'
check fused families/phi3 '{"r": 4}'
check fused-dora families/phi3 '{"method": "dora", "r": 4}'
check tables families/llama-gelu '{"r": 4, "target_modules": ["embed_tokens", "lm_head", "k_proj"]}'
check tied-tables families/llama-scaled-tied '{"r": 4, "target_modules": ["embed_tokens", "k_proj"]}'
check tied-head families/llama-scaled-tied '{"r": 4, "target_modules": ["lm_head", "k_proj"]}'
check saved families/llama-gelu '{"r": 4, "target_modules": ["k_proj"], "modules_to_save": ["embed_tokens", "lm_head", "norm"]}'
check tied-saved families/llama-scaled-tied '{"r": 4, "target_modules": ["k_proj"], "modules_to_save": ["embed_tokens"]}'
check gpt2 families/gpt2 '{"r": 4, "target_modules": ["c_attn", "mlp.c_proj"]}'
check gpt2-dora families/gpt2 '{"method": "dora", "r": 4, "target_modules": ["c_fc"]}'
check pissa families/llama-gelu '{"r": 4, "lora_alpha": 12, "init_lora_weights": "pissa"}'
check pissa-rs families/qwen2 '{"r": 4, "use_rslora": true, "init_lora_weights": "pissa", "rank_pattern": {"down_proj": 2}, "alpha_pattern": {"model.layers.0.*": 3}}'
check pissa-dora families/llama-gelu '{"method": "dora", "r": 3, "init_lora_weights": "pissa"}'
check pissa-tables families/mistral '{"r": 4, "init_lora_weights": "pissa", "target_modules": ["o_proj", "embed_tokens", "lm_head"]}'
check pissa-gpt2 families/gpt2 '{"r": 4, "init_lora_weights": "pissa_niter_16"}'
check bert bert-tiny '{"r": 4, "target_modules": ["query", "value"]}'
check bert-all bert-tiny '{"r": 4}'
check roberta families/roberta '{"r": 4}'
check distilbert families/distilbert '{"r": 4, "target_modules": ["q_lin"]}'
check modernbert families/modernbert '{"r": 4}'
check llama-classifier families/mistral-classifier '{"r": 4, "target_modules": ["o_proj"]}'
check gemma families/gemma3 '{"r": 4}'
check tags token-tasks/roberta-tags '{"r": 4}'
check masked token-tasks/roberta-masked '{"r": 4}'
