#!/usr/bin/env python3
"""Writes small tokenizers below tests/data/tokenizers and what Hugging Face tokenizers and SentencePiece make of
some texts. `llama3` and `qwen` have the pre-tokenizers, normalizers and templates of those families on a
vocabulary of their own; `sentencepiece` is a BPE model with byte fallback, as Llama 2 has one.

    record_tokenizers.py tests/data
"""
import json
import pathlib
import sys

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+")
TEXTS = [
    "", " ", "Hello, world!", "The index isn't used; it's 12345 rows.\n\n  SELECT *  FROM t1;\r\n",
    "   leading and trailing   ", "tabs\tand\u00a0no-break\u3000spaces  ", "DON'T can'T we'Ll",
    "na\u00efve caf\u00e9 \u00c5ngstr\u00f6m", "cafe\u0301 A\u030angstro\u0308m \u1e9b\u0323",
    "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3001\u4e2d\u6587 \ud55c\uad6d\uc5b4", "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 emoji",
    "x = {'a': [1, 2.5e-10]}  # comment\n\tif x:\n\t\tpass\n", "a" * 70, "=" * 40 + "\n" + "-" * 40,
    "<|begin|>text<|end|> <|end|><|beg", "<s>not special here</s>", "\u0661\u0662\u0663 \u00bd \u2167 \u00b2",
    "line\rline\n\n\nline \n line", "\x00\x01\x7f control", "\ufffd \ufeff", "\u0130stanbul \u017f'\u017f",
]


def train(corpus, pattern, normalizer, whole_words):
    tokenizer = Tokenizer(models.BPE(ignore_merges=whole_words))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=700, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_special_tokens([AddedToken("<|begin|>", special=True), AddedToken("<|end|>", special=True)])
    return tokenizer


def corpus_of(data):
    """Text to train on: what the bundled calibration rows say, and the texts themselves."""
    from safetensors.numpy import load_file
    bundled = Tokenizer.from_file(str(data / "models/docs-llama-7m/tokenizer.json"))
    rows = load_file(data / "tokens.safetensors")["input_ids"][:24]
    return [bundled.decode(row.tolist()) for row in rows] + TEXTS, bundled


def main():
    data = pathlib.Path(sys.argv[1])
    folder = data / "tokenizers"
    corpus, bundled = corpus_of(data)
    llama3 = train(corpus, LLAMA3, None, True)
    llama3.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[
            ("<|begin|>", llama3.token_to_id("<|begin|>"))])])
    qwen = train(corpus, QWEN, normalizers.NFC(), False)
    recorded = {"bundled": [[text, bundled.encode(text, add_special_tokens=False).ids] for text in TEXTS]}
    for name, tokenizer in (("llama3", llama3), ("qwen", qwen)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(folder / name / "tokenizer.json"), pretty=False)
        recorded[name] = [[t, tokenizer.encode(t, add_special_tokens=False).ids] for t in TEXTS]
    (folder / "qwen/tokenizer_config.json").write_text('{"add_bos_token": false, "bos_token": "<|begin|>"}\n')
    (folder / "sentencepiece").mkdir(exist_ok=True)
    prefix = str(folder / "sentencepiece/tokenizer")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter("\n".join(corpus).split("\n")), model_prefix=prefix, vocab_size=600,
        model_type="bpe", byte_fallback=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, minloglevel=2)
    pathlib.Path(prefix + ".vocab").unlink()
    processor = sentencepiece.SentencePieceProcessor(model_file=prefix + ".model")
    recorded["sentencepiece"] = [[t, processor.encode(t)] for t in TEXTS if "\x00" not in t]
    (folder / "encodings.json").write_text(json.dumps(recorded, separators=(",", ":")) + "\n")
    print({name: sum(len(ids) for _, ids in rows) for name, rows in recorded.items()})


if __name__ == "__main__":
    main()
