"""A small language model tuned as people do it: `tuned.py lora|sft OPTIONS…`.

`tuned.py made` writes a model, a tokenizer and a data set into folders, for console scripts.
"""

import json
import os
import pydoc_data.topics
import sys

import torch
from faults import fault
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    HfArgumentParser,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)


class Faults(TrainerCallback):
    """A callback of the user's."""

    def on_step_begin(self, args, state, control, **kwargs):
        fault("step", state.global_step + 1)

    def on_prediction_step(self, args, state, control, **kwargs):
        fault("val", state.global_step)


def texts(count):
    """Return pieces of Python's own documentation."""
    whole = "".join(pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics))
    return [whole[120 * place : 120 * place + 120] for place in range(count)]


def model():
    """Return a GPT-2 that is small enough for a test."""
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=300, n_positions=128, n_embd=32, n_layer=2, n_head=2, bos_token_id=0,
            eos_token_id=0,
        )
    )  # fmt: skip


def tokenizer():
    """Return a tokenizer that knows the texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(texts(100), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", pad_token="<end>")


def tuned_by_trainer():
    """LoRA by peft, with transformers' own Trainer."""
    from peft import LoraConfig, get_peft_model

    (args,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses(sys.argv[2:])
    set_seed(args.seed)
    rows = [list(text.encode("ascii", "replace")[:32]) for text in texts(160)]
    rows = [{"input_ids": torch.tensor(row), "labels": torch.tensor(row)} for row in rows]
    adapters = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["c_attn"], lora_dropout=0.1)
    made = get_peft_model(model(), adapters)
    trainer = Trainer(made, args, train_dataset=rows, eval_dataset=rows[:8], callbacks=[Faults()])
    trainer.train()
    return trainer


def tuned_by_trl():
    """Supervised fine-tuning by TRL."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    (args,) = HfArgumentParser(SFTConfig).parse_args_into_dataclasses(sys.argv[2:])
    set_seed(args.seed)
    trainer = SFTTrainer(
        model(), args, train_dataset=Dataset.from_dict({"text": texts(160)}),
        processing_class=tokenizer(), callbacks=[Faults()],
    )  # fmt: skip
    trainer.train()
    return trainer


def made():
    """Write what a console script reads."""
    set_seed(1)
    model().save_pretrained("model")
    tokenizer().save_pretrained("model")
    os.makedirs("data")
    with open("data/train.jsonl", "w") as file:
        for text in texts(400):
            file.write(json.dumps({"text": text}) + "\n")


if __name__ == "__main__":
    match sys.argv[1]:
        case "made":
            made()
        case "lora":
            tuned_by_trainer().save_model()
        case "sft":
            tuned_by_trl().save_model()
