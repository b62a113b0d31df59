"""The demo model: a small Llama, written out so that training needs torch alone.

Why not the class of transformers: this one has less around it and is faster on a CPU. The parameter
names and the half-split rotary embedding are those of `LlamaForCausalLM`, so a saved state loads
there unchanged; evaluate.py proves it.
"""

import dataclasses

import torch
from torch import nn
from torch.nn import functional


@dataclasses.dataclass
class Shape:
    vocabulary: int = 1024
    width: int = 192
    layers: int = 4
    heads: int = 6
    kv_heads: int = 2
    head: int = 32
    hidden: int = 512
    context: int = 512
    theta: float = 10000.0
    epsilon: float = 1e-5

    def config(self):
        """The configuration file of the Hugging Face form."""
        return {
            "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
            "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "head_dim": self.head,
            "hidden_act": "silu", "hidden_size": self.width, "initializer_range": 0.02,
            "intermediate_size": self.hidden, "max_position_embeddings": self.context, "mlp_bias": False,
            "model_type": "llama", "num_attention_heads": self.heads, "num_hidden_layers": self.layers,
            "num_key_value_heads": self.kv_heads, "rms_norm_eps": self.epsilon, "rope_scaling": None,
            "rope_theta": self.theta, "tie_word_embeddings": True, "torch_dtype": "float16",
            "use_cache": True, "vocab_size": self.vocabulary,
        }


class Norm(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.width))
        self.epsilon = shape.epsilon

    def forward(self, x):
        return functional.rms_norm(x.float(), (x.shape[-1],), self.weight, self.epsilon)


def rotate(x, cosine, sine):
    left, right = x.chunk(2, dim=-1)
    return torch.cat((left * cosine - right * sine, right * cosine + left * sine), dim=-1)


class Attention(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.q_proj = nn.Linear(shape.width, shape.heads * shape.head, bias=False)
        self.k_proj = nn.Linear(shape.width, shape.kv_heads * shape.head, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.kv_heads * shape.head, bias=False)
        self.o_proj = nn.Linear(shape.heads * shape.head, shape.width, bias=False)
        mask = torch.full((shape.context, shape.context), float("-inf")).triu(1)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x, cosine, sine):
        rows, length, _ = x.shape
        s = self.shape

        def split(y, heads):
            return y.view(rows, length, heads, s.head).transpose(1, 2)

        query = rotate(split(self.q_proj(x), s.heads), cosine, sine)
        key = rotate(split(self.k_proj(x), s.kv_heads), cosine, sine)
        value = split(self.v_proj(x), s.kv_heads)
        key = key.repeat_interleave(s.heads // s.kv_heads, dim=1)
        value = value.repeat_interleave(s.heads // s.kv_heads, dim=1)
        # Written out: on a CPU the backward pass of the fused kernel took half of the whole step.
        scores = query @ (key * s.head ** -0.5).mT
        scores = scores.float() + self.mask[:length, :length]
        mixed = torch.softmax(scores, dim=-1) @ value
        return self.o_proj(mixed.transpose(1, 2).reshape(rows, length, -1))


class FeedForward(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.input_layernorm = Norm(shape)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = Norm(shape)
        self.mlp = FeedForward(shape)

    def forward(self, x, cosine, sine):
        x = x + self.self_attn(self.input_layernorm(x), cosine, sine)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape)


class Llama(nn.Module):
    def __init__(self, shape, seed):
        super().__init__()
        self.model = Body(shape)
        frequency = shape.theta ** (-torch.arange(0, shape.head, 2).float() / shape.head)
        angle = torch.outer(torch.arange(shape.context).float(), frequency)
        self.register_buffer("cosine", angle.cos(), persistent=False)
        self.register_buffer("sine", angle.sin(), persistent=False)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.dim() == 2:
                    std = 0.02 if "embed" in name else parameter.shape[1] ** -0.5
                    std = std / (2 * shape.layers) ** 0.5 if "o_proj" in name or "down_proj" in name else std
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)

    def forward(self, ids):
        """The final hidden states, normalised; `logits` makes scores of them."""
        length = ids.shape[1]
        cosine, sine = self.cosine[:length], self.sine[:length]
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            x = layer(x, cosine, sine)
        return self.model.norm(x)

    def logits(self, hidden):
        return functional.linear(hidden, self.model.embed_tokens.weight).float()


class Muon:
    """Momentum whose matrix update is replaced by its nearest (half-)orthogonal matrix.

    Matrices of one shape are stacked and orthogonalised together, by a quintic Newton-Schulz
    iteration, which needs products only and no precision.
    """

    def __init__(self, parameters, momentum=0.95):
        self.groups = {}
        for parameter in parameters:
            self.groups.setdefault(tuple(parameter.shape), []).append(parameter)
        self.buffers = {shape: torch.zeros(len(group), *shape) for shape, group in self.groups.items()}
        self.momentum = momentum

    @torch.no_grad()
    def step(self, rate, decay=0.01):
        for shape, group in self.groups.items():
            gradient = torch.stack([parameter.grad for parameter in group])
            buffer = self.buffers[shape]
            buffer.lerp_(gradient, 1 - self.momentum)
            update = orthogonal(gradient.lerp(buffer, self.momentum))
            scale = rate * max(1.0, shape[0] / shape[1]) ** 0.5
            for parameter, change in zip(group, update):
                parameter.mul_(1 - rate * decay).sub_(change, alpha=scale)


def orthogonal(matrix, steps=5):
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = (matrix.mT if tall else matrix).bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).float()
