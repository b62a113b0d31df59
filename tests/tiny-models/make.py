"""Make the tiny reference models of every supported model family.

Why: an engine that reads a `config.json` wrongly (RoPE scaling left out, a window ignored, a bias
or a q/k norm forgotten, grouped heads repeated in the wrong order) still produces fluent-looking
numbers. These models have random weights, large enough that each such mistake moves the logits far
beyond rounding, and come with the logits that Hugging Face transformers computes for them in
float32 with eager attention. The script asserts that each feature it wants to test does matter.

Run:  python make.py [NAME...]     (writes one folder per family next to this file)
"""

import json
import os
import shutil
import sys
import tempfile

import torch
import transformers
from transformers import (
    BertConfig,
    BertModel,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
    XLMRobertaConfig,
    XLMRobertaModel,
)

HERE = os.path.dirname(os.path.abspath(__file__))
VOCAB = 256
PROMPT_LENGTHS = (1, 5, 12, 40, 90)
ALL_POSITIONS_PROMPT = 1  # the index, in PROMPT_LENGTHS, of the prompt whose logits are kept everywhere
NEW_IDS = 16
MAX_BYTES = 250_000
LEAST_MARGIN = 0.02  # between the best and the second logit at every greedy step

COMMON = dict(
    vocab_size=VOCAB,
    max_position_embeddings=256,
    bos_token_id=1,
    eos_token_id=2,
    attention_dropout=0.0,
    attn_implementation="eager",
)

LLAMA3_SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}


def families():
    """Name, seed, model class, configuration, and variants whose logits must differ from it."""
    yield (
        "llama", 11, LlamaForCausalLM,
        LlamaConfig(
            hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=3,
            num_key_value_heads=1, head_dim=16, rms_norm_eps=1e-5, rope_theta=500000.0,
            rope_scaling=dict(LLAMA3_SCALING), tie_word_embeddings=False, **COMMON),
        [dict(rope_scaling=None), dict(rope_theta=10000.0), dict(rms_norm_eps=0.1)],
    )
    yield (
        "llama-linear-rope", 12, LlamaForCausalLM,
        LlamaConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=8, rms_norm_eps=1e-5, rope_theta=10000.0,
            rope_scaling={"rope_type": "linear", "factor": 4.0}, tie_word_embeddings=True, **COMMON),
        [dict(rope_scaling=None)],
    )
    yield (
        "mistral", 13, MistralForCausalLM,
        MistralConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, head_dim=16, rms_norm_eps=1e-5, rope_theta=10000.0,
            sliding_window=8, tie_word_embeddings=False, **COMMON),
        [dict(sliding_window=None), dict(sliding_window=7), dict(sliding_window=9)],
    )
    # use_sliding_window is false while sliding_window holds a number, as in the published models:
    # an engine that looks at the number alone computes something else.
    yield (
        "qwen2", 14, Qwen2ForCausalLM,
        Qwen2Config(
            hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=6,
            num_key_value_heads=2, rms_norm_eps=1e-6, rope_theta=1000000.0,
            use_sliding_window=False, sliding_window=8, max_window_layers=0,
            tie_word_embeddings=True, **COMMON),
        [dict(rope_theta=10000.0)],
    )
    yield (
        "qwen3", 15, Qwen3ForCausalLM,
        Qwen3Config(
            hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=16, rms_norm_eps=1e-6, rope_theta=1000000.0,
            use_sliding_window=False, attention_bias=False, tie_word_embeddings=True, **COMMON),
        [dict(rms_norm_eps=0.1)],
    )


    yield (
        "gemma2", 17, Gemma2ForCausalLM,
        Gemma2Config(
            hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, head_dim=16, query_pre_attn_scalar=24, rms_norm_eps=1e-6, rope_theta=10000.0,
            sliding_window=8, attn_logit_softcapping=5.0, final_logit_softcapping=10.0, **COMMON),
        [dict(attn_logit_softcapping=None), dict(final_logit_softcapping=None), dict(query_pre_attn_scalar=16),
         dict(sliding_window=9), dict(layer_types=["full_attention"] * 3)],
    )
    gemma3_layers = ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"]
    yield (
        "gemma3", 18, Gemma3ForCausalLM,
        Gemma3TextConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4,
            num_key_value_heads=1, head_dim=16, query_pre_attn_scalar=24, rms_norm_eps=1e-6,
            rope_theta=1000000.0, rope_local_base_freq=100.0, rope_scaling={"rope_type": "linear", "factor": 8.0},
            sliding_window=8, layer_types=list(gemma3_layers), **COMMON),
        [dict(rope_local_base_freq=1000000.0), dict(rope_scaling=None), dict(query_pre_attn_scalar=16),
         dict(layer_types=["full_attention"] * 4)],
    )
    # Prompts up to 12 with their answers stay within the original length, those of 40 and 90 are longer from the start.
    yield (
        "phi3", 19, Phi3ForCausalLM,
        Phi3Config(
            hidden_size=64, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, rms_norm_eps=1e-5, rope_theta=10000.0, partial_rotary_factor=0.75,
            original_max_position_embeddings=32, sliding_window=24, tie_word_embeddings=True,
            rope_scaling={
                "type": "longrope",
                "short_factor": [1.0, 1.1, 1.2, 1.3, 1.5, 1.8],
                "long_factor": [1.1, 1.6, 2.4, 3.9, 6.0, 7.5],
            }, **(COMMON | dict(pad_token_id=0))),
        [dict(rope_scaling=None), dict(original_max_position_embeddings=128), dict(sliding_window=None)],
    )
    yield (
        "qwen3-moe", 20, Qwen3MoeForCausalLM,
        Qwen3MoeConfig(
            hidden_size=32, intermediate_size=48, moe_intermediate_size=16, num_hidden_layers=3,
            num_attention_heads=4, num_key_value_heads=2, head_dim=16, rms_norm_eps=1e-6, rope_theta=1000000.0,
            num_experts=8, num_experts_per_tok=3, norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[1],
            use_sliding_window=False, attention_bias=False, tie_word_embeddings=True, **COMMON),
        [dict(norm_topk_prob=False), dict(num_experts_per_tok=2)],
    )


def randomise(model, seed):
    """Random weights far from degenerate: every norm and bias differs from its neutral value."""
    # Gemma multiplies by 1 and the weight together.
    neutral = 0.0 if model.config.model_type.startswith("gemma") else 1.0
    generator = torch.Generator().manual_seed(seed)

    def normal(shape, std):
        return torch.randn(shape, generator=generator) * std

    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if "norm" in name.lower() and name.endswith("weight"):
                parameter.copy_(neutral + normal(parameter.shape, 0.3))
            elif parameter.dim() == 1:
                parameter.copy_(normal(parameter.shape, 0.4))
            elif "embed" in name:
                parameter.copy_(normal(parameter.shape, 0.8))
            elif name.startswith("lm_head"):
                parameter.copy_(normal(parameter.shape, 0.6))
            else:
                parameter.copy_(normal(parameter.shape, 1.6 / parameter.shape[1] ** 0.5))


def prompts(seed):
    """One list of ids for each length; ids 0, 1 and 2 are left to padding, begin and end."""
    generator = torch.Generator().manual_seed(1000 + seed)
    return [
        [1] + torch.randint(3, VOCAB, (length - 1,), generator=generator).tolist()
        for length in PROMPT_LENGTHS
    ]


def numbers(tensor):
    return [round(value, 6) for value in tensor.tolist()]


def last_logits(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0]


def greedy(model, ids):
    """Sixteen ids by generate with its cache, checked against sixteen full forward passes."""
    made = model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        max_new_tokens=NEW_IDS, min_new_tokens=NEW_IDS, do_sample=False, use_cache=True,
        eos_token_id=None, pad_token_id=0,
    )[0, len(ids):].tolist()
    sequence, margins = list(ids), []
    for step in range(NEW_IDS):
        top = last_logits(model, sequence)[-1].topk(2)
        assert top.indices[0].item() == made[step], "generate with a cache differs from a full pass"
        margins.append(round((top.values[0] - top.values[1]).item(), 6))
        sequence.append(made[step])
    return made, margins


def assert_matters(model, cls, config, variant, ids):
    """A model with `variant` in its configuration must give clearly different logits."""
    changed = config.to_dict()
    changed.update(variant)
    changed.pop("model_type", None)
    if "sliding_window" in variant:
        changed["layer_types"] = None
    other_config = type(config)(**changed)
    other_config._attn_implementation = "eager"
    other = cls(other_config).eval()
    other.load_state_dict(model.state_dict())
    difference = (last_logits(model, ids)[-1] - last_logits(other, ids)[-1]).abs().max().item()
    assert difference > 0.1, f"{variant} changes the logits by {difference} only"
    return round(difference, 3)


def made_with():
    return {
        "transformers": transformers.__version__,
        "torch": torch.__version__.split("+")[0],
        "dtype": "float32",
        "attention": "eager",
    }


def write(name, model, reference):
    """Save the model as transformers does, keep the two files that matter, add the reference."""
    folder = os.path.join(HERE, name)
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        model.save_pretrained(temporary, safe_serialization=True)
        for file in ("config.json", "model.safetensors"):
            shutil.copyfile(os.path.join(temporary, file), os.path.join(folder, file))
    size = os.path.getsize(os.path.join(folder, "model.safetensors"))
    assert size < MAX_BYTES, f"{name}: {size} bytes"
    with open(os.path.join(folder, "reference.json"), "w", encoding="utf-8") as file:
        json.dump(reference, file, separators=(",", ":"))
        file.write("\n")
    return size


def make_decoder(name, seed, cls, config, variants):
    """Take the first seed whose greedy text has no end token and no near tie, then write it."""
    while True:
        model = cls(config).eval().float()
        randomise(model, seed)
        model.tie_weights()
        cases = decoder_cases(model, seed)
        ended = any(config.eos_token_id in case["greedy_new_ids"] for case in cases)
        if not ended and min(case["min_margin"] for case in cases) >= LEAST_MARGIN:
            break
        seed += 100
    effects = [
        {"changed": variant, "max_logit_difference": assert_matters(
            model, cls, config, variant, cases[-1]["prompt_ids"])}
        for variant in variants
    ]
    reference = {
        "format_version": 1, "family": name, "made_with": made_with(), "seed": seed,
        "tolerance": 1e-3, "cases": cases, "effects_on_longest_prompt": effects,
    }
    size = write(name, model, reference)
    spread = torch.tensor(cases[-1]["last_logits"]).std().item()
    margin = min(case["min_margin"] for case in cases)
    print(f"{name}: {size} bytes, seed {seed}, logit std {spread:.2f}, least margin {margin}, {effects}")


def decoder_cases(model, seed):
    cases = []
    for index, ids in enumerate(prompts(seed)):
        logits = last_logits(model, ids)
        new_ids, margins = greedy(model, ids)
        case = {
            "prompt_ids": ids,
            "last_logits": numbers(logits[-1]),
            "greedy_new_ids": new_ids,
            "greedy_margins": margins,
            "min_margin": min(margins),
        }
        if index == ALL_POSITIONS_PROMPT:
            case["all_logits"] = [numbers(row) for row in logits]
        cases.append(case)
    return cases


def make_embedder():
    """BERT, mean over the tokens, unit length: what sentence embedders do."""
    config = BertConfig(
        vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=64, type_vocab_size=2, hidden_act="gelu",
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, layer_norm_eps=1e-12,
        attn_implementation="eager")
    model = BertModel(config).eval().float()
    randomise(model, 16)
    generator = torch.Generator().manual_seed(1016)
    cases = []
    for length in (2, 3, 7, 20, 64):
        ids = [2] + torch.randint(5, VOCAB, (length - 2,), generator=generator).tolist() + [3]
        with torch.no_grad():
            hidden = model(torch.tensor([ids])).last_hidden_state[0]
        pooled = hidden.mean(dim=0)
        norm = pooled.norm().item()
        cases.append({
            "ids": ids,
            "last_hidden_first_token": numbers(hidden[0]),
            "mean_pooled_norm": round(norm, 6),
            "embedding": numbers(pooled / norm),
        })
    # The same through a padded batch with a mask: padding must not change an embedding.
    width = max(len(case["ids"]) for case in cases)
    batch = torch.tensor([case["ids"] + [0] * (width - len(case["ids"])) for case in cases])
    mask = torch.tensor([[1] * len(c["ids"]) + [0] * (width - len(c["ids"])) for c in cases])
    with torch.no_grad():
        hidden = model(batch, attention_mask=mask).last_hidden_state
    for row, case in enumerate(cases):
        pooled = hidden[row, : len(case["ids"])].mean(dim=0)
        pooled = pooled / pooled.norm()
        assert (pooled - torch.tensor(case["embedding"])).abs().max().item() < 1e-5
    reference = {
        "format_version": 1, "family": "bert", "made_with": made_with(), "seed": 16,
        "pooling": "mean", "normalize": "l2", "token_type_ids": 0, "tolerance": 1e-4, "cases": cases,
    }
    print(f"bert: {write('bert', model, reference)} bytes")


def make_xlm_roberta():
    """The network of multilingual E5: positions begin behind the row of padding; mean, unit length."""
    config = XLMRobertaConfig(
        vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=66, type_vocab_size=1, hidden_act="gelu", hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, layer_norm_eps=1e-5, attn_implementation="eager",
        bos_token_id=0, pad_token_id=1, eos_token_id=2)
    model = XLMRobertaModel(config).eval().float()
    randomise(model, 21)
    generator = torch.Generator().manual_seed(1021)
    cases = []
    for length in (2, 7, 64):
        ids = [0] + torch.randint(4, VOCAB, (length - 2,), generator=generator).tolist() + [2]
        with torch.no_grad():
            hidden = model(torch.tensor([ids]), attention_mask=torch.ones(1, length)).last_hidden_state[0]
        pooled = hidden.mean(dim=0)
        cases.append({
            "ids": ids,
            "last_hidden_first_token": numbers(hidden[0]),
            "embedding": numbers(pooled / pooled.norm()),
        })
    reference = {
        "format_version": 1, "family": "xlm-roberta", "made_with": made_with(), "seed": 21,
        "pooling": "mean", "normalize": "l2", "tolerance": 1e-4, "cases": cases,
    }
    print(f"xlm-roberta: {write('xlm-roberta', model, reference)} bytes")


def make_qwen3_embedding():
    """As Qwen3-Embedding is published: the network without a head, and the files of sentence-transformers."""
    config = Qwen3Config(
        hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, rms_norm_eps=1e-6, rope_theta=1000000.0,
        use_sliding_window=False, attention_bias=False, tie_word_embeddings=True, **COMMON)
    model = Qwen3Model(config).eval().float()
    randomise(model, 22)
    generator = torch.Generator().manual_seed(1022)
    cases = []
    for length in (1, 5, 40, 200):
        ids = torch.randint(3, VOCAB, (length,), generator=generator).tolist() + [2]
        with torch.no_grad():
            hidden = model(torch.tensor([ids])).last_hidden_state[0]
        def unit(vector):
            return numbers(vector / vector.norm())
        cases.append({
            "ids": ids,
            "last": unit(hidden[-1]),
            "mean": unit(hidden.mean(dim=0)),
            "first": unit(hidden[0]),
        })
    reference = {
        "format_version": 1, "family": "qwen3-embedding", "made_with": made_with(), "seed": 22,
        "normalize": "l2", "tolerance": 1e-4, "cases": cases,
    }
    print(f"qwen3-embedding: {write('qwen3-embedding', model, reference)} bytes")
    folder = os.path.join(HERE, "qwen3-embedding")
    # Its published configuration names the class with a head, while its tensors are named without one.
    path = os.path.join(folder, "config.json")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace('"Qwen3Model"', '"Qwen3ForCausalLM"'))
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")])
    ]
    pooling = {
        "word_embedding_dimension": 48, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": False,
        "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False,
        "pooling_mode_weightedmean_tokens": False, "pooling_mode_lasttoken": True, "include_prompt": True,
    }
    os.makedirs(os.path.join(folder, "1_Pooling"), exist_ok=True)
    for path, value in (("modules.json", modules), ("1_Pooling/config.json", pooling)):
        with open(os.path.join(folder, path), "w", encoding="utf-8") as file:
            json.dump(value, file, indent=2)
            file.write("\n")


def main():
    torch.set_num_threads(1)
    wanted = set(sys.argv[1:])
    for family in families():
        if not wanted or family[0] in wanted:
            make_decoder(*family)
    others = {"bert": make_embedder, "xlm-roberta": make_xlm_roberta, "qwen3-embedding": make_qwen3_embedding}
    for name, make in others.items():
        if not wanted or name in wanted:
            make()


if __name__ == "__main__":
    main()
