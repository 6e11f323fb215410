"""Labels from language models: asking them, paying once, and believing no reply too easily.

    labelling            lines in, labels out; shuffles, checks, asks again
      prompt_files         versioned prompts (prompts/*.toml)
      fence, replies       lines into a prompt, ids out of a reply
    protocol             Prompt, Reply, Failure, Annotator: what all below speak
      recorded             a store in front of any annotator: nothing is paid twice
      budget               estimate before, account after, stop before a limit
      courier              an endpoint asked by a process that outlives a killed one
      endpoint, limits     any OpenAI-compatible endpoint
      batch                requests to a file, responses from a file
      simulated            a stated error model over known labels

Imports nothing heavy: the LLM client is imported by `endpoint` alone, when it is used.
"""
