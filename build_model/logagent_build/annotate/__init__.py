"""Labels from language models: asking them, paying once, and believing no reply too easily.

    label_command        `logagent-build label`; log_lines reads its files, outputs tries to write
    labelling, guard     lines in, labels out; checks, asks again
      composing            which lines share a prompt, and what it says
      prompt_files         versioned prompts (prompts/*.toml)
      fence, replies       lines into a prompt, labels out of a reply
    choice               from a command line's words to an annotator, store and budget
    protocol             Prompt, Reply, Failure, Annotator: what all below speak
      recorded             a store in front of any annotator: nothing is paid twice
      budget               estimate before, account after, stop before a limit
      courier              an endpoint asked by a process that outlives a killed one
      endpoint             any OpenAI-compatible endpoint (limits, retrying)
      batch                requests to a file, responses from a file
      simulated            a stated error model over known labels

Imports nothing heavy: the LLM client is imported by `endpoint` alone, when it is used.
"""
