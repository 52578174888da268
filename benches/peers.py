"""Times a peer on a checkpoint: one JSON line a round, asked for by a line on standard input, so that rounds of ours lie between.

python peers.py transformers FOLDER f32|bf16 THREADS PROMPT NEW
python peers.py llama.cpp FILE.gguf - THREADS PROMPT NEW
"""

import json
import os
import sys
import time

peer, path, dtype = sys.argv[1:4]
threads, prompt, new = map(int, sys.argv[4:7])
os.environ["OMP_NUM_THREADS"] = str(threads)


def prompt_of(vocabulary):
    return [(i * 7919 + 17) % vocabulary for i in range(prompt)]


def timed(work):
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


if peer == "transformers":
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    kinds = {"f32": torch.float32, "bf16": torch.bfloat16}
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=kinds[dtype]).eval()
    ids = prompt_of(model.config.vocab_size)

    def prefill():
        return model(torch.tensor([ids]), use_cache=True)

    def decode(out):
        for _ in range(new):
            out = model(out.logits[:, -1:].argmax(-1), past_key_values=out.past_key_values, use_cache=True)

else:
    import llama_cpp

    model = llama_cpp.Llama(path, n_ctx=prompt + new + 1, n_batch=512, n_threads=threads, n_threads_batch=threads, verbose=False)
    ids = prompt_of(model.n_vocab())

    def prefill():
        model.reset()
        model.eval(ids)
        return model.sample(temp=0.0)

    def decode(token):
        for _ in range(new):
            model.eval([token])
            token = model.sample(temp=0.0)


decode(prefill())
print("ready", flush=True)
for _ in sys.stdin:
    state, prefill_s = timed(prefill)
    _, decode_s = timed(lambda: decode(state))
    print(json.dumps({"prefill": prompt / prefill_s, "decode": new / decode_s}), flush=True)
