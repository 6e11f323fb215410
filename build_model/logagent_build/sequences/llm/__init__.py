"""The language model of FlexLog: a voter over sequences of events, asked or fine-tuned.

    vote_command         `logagent-build vote`; sequence_files reads its files
    voter                fit, predict: examples, prompts, replies, votes
      prompt               the five parts (§3.3); shown: a sequence as bounded text
      retrieval            descriptions of events; describing asks for those of templates
      shots                which labelled sequences stand in a prompt
      label_word           a reply's one word
    votes, distil        recorded votes; votes as labels for other models
    cache, sequence_keys labels of sequences seen before (§3.2)
    finetune, lora       data for fine-tuning, and fine-tuning on this machine;
                         finetune_command is `logagent-build finetune-data`
    simulated            a stated error model over known labels

torch, transformers and peft are imported by `lora` alone, when it is used.
"""
