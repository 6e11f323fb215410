"""A language model as the detector: every line asked, at its price, beside the shipped detector.

    command              `logagent-build detect`
      data                 labelled lines: files of the user's, loghub with the repository's labels
      comparison           who finds how much, at what cost; the metered annotator
      table                the same as a Markdown table

The baseline that ALPHA calls LLM-centric. Asking is `annotate`'s work.
"""
