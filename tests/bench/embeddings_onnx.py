"""Embeddings by onnxruntime, for `anchorhold-bench embeddings`: embeddings_onnx.py WEIGHTS THREADS LENGTH BATCHES SECONDS.

Builds the graph of all-MiniLM-L6-v2 from its safetensors with onnxruntime's own fused operators (the form into which its
optimiser brings a BERT), without a mask, since all texts are equally long. Prints a line of JSON for each batch, with the
beginning of the vector of the first text, so that the caller can see that both sides compute the same.
"""

import json
import struct
import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HEADS = 12
LAYERS = 6
CLS, SEP, A = 101, 102, 1037


def read_safetensors(path):
    with open(path, "rb") as file:
        bytes_ = file.read()
    (length,) = struct.unpack("<Q", bytes_[:8])
    tensors = {}
    for name, entry in json.loads(bytes_[8 : 8 + length]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            tensors[name] = np.frombuffer(bytes_[begin:end], dtype="<f4").reshape(entry["shape"])
    return tensors


def build(tensors):
    nodes, initializers = [], []

    def constant(name, value):
        initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def given(name):
        return constant(name, tensors[name])

    def turned(name):
        return constant(name + ".turned", tensors[name].T)

    def node(kind, inputs, output, domain="com.microsoft", **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], domain=domain, **attributes))
        return output

    before = "embeddings."
    tables = [given(f"{before}{table}_embeddings.weight") for table in ("word", "position", "token_type")]
    norm = [given(f"{before}LayerNorm.{part}") for part in ("weight", "bias")]
    nodes.append(
        helper.make_node(
            "EmbedLayerNormalization",
            ["ids", "types", *tables, *norm],
            ["hidden", "unused"],
            domain="com.microsoft",
            epsilon=1e-12,
        )
    )
    hidden = "hidden"
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        own = [f"{at}attention.self.{part}" for part in ("query", "key", "value")]
        weights = constant(f"{at}qkv", np.concatenate([tensors[f"{part}.weight"].T for part in own], axis=1))
        biases = constant(f"{at}qkv.bias", np.concatenate([tensors[f"{part}.bias"] for part in own]))
        mixed = node("Attention", [hidden, weights, biases], f"{at}mixed", num_heads=HEADS)

        def add(value, part, hidden, at=at):
            product = node("MatMul", [value, turned(f"{at}{part}.dense.weight")], f"{at}{part}.product", domain="")
            norm = [given(f"{at}{part}.LayerNorm.{piece}") for piece in ("weight", "bias")]
            inputs = [product, hidden, *norm, given(f"{at}{part}.dense.bias")]
            return node("SkipLayerNormalization", inputs, f"{at}{part}.out", epsilon=1e-12)

        hidden = add(mixed, "attention.output", hidden)
        wide = node("MatMul", [hidden, turned(f"{at}intermediate.dense.weight")], f"{at}wide", domain="")
        wide = node("BiasGelu", [wide, given(f"{at}intermediate.dense.bias")], f"{at}gelu")
        hidden = add(wide, "output", hidden)
    node("ReduceMean", [hidden, constant("axes", np.array([1], dtype=np.int64))], "mean", domain="", keepdims=0)
    node("LpNormalization", ["mean"], "vectors", domain="", axis=-1, p=2)
    ids = [helper.make_tensor_value_info(name, TensorProto.INT32, ["batch", "length"]) for name in ("ids", "types")]
    vectors = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", 384])
    graph = helper.make_graph(nodes, "bert", ids, [vectors], initializers)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def main():
    weights, threads, length, batches, seconds = sys.argv[1:]
    length, seconds = int(length), float(seconds)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    model = build(read_safetensors(weights)).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    for batch in (int(batch) for batch in batches.split(",")):
        ids = np.full((batch, length), A, dtype=np.int32)
        ids[:, 0], ids[:, -1] = CLS, SEP
        feed = {"ids": ids, "types": np.zeros_like(ids)}
        (vectors,) = session.run(None, feed)
        begin, runs = time.perf_counter(), 0
        while runs < 2 or time.perf_counter() - begin < seconds:
            session.run(None, feed)
            runs += 1
        rate = batch * runs / (time.perf_counter() - begin)
        print(json.dumps({"batch": batch, "rate": rate, "vector": vectors[0][:8].tolist()}), flush=True)


if __name__ == "__main__":
    main()
