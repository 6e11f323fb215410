"""ALPHA: cluster log lines, have a few labelled, propagate the labels, train, explain (paper 000).

    loop                 the whole: until a target F1 or the data end
      pool                 lines → distinct templates, by the agent's own keys
      embeddings           templates → vectors of a sentence encoder (Eq. 1)
      clusters             vectors → clusters, k by elbow and silhouette (Eq. 2-3, Fig. 6)
      representatives      the m entries nearest to each centroid (Algorithm 1, line 13)
      refinement           few-shot examples from the errors on a validation set (§IV-B3)
      voting               majority vote and propagation (Algorithm 1, lines 14-18; Eq. 4)
      curves               ε curve and misclassified counts (Fig. 7)
      plane                the templates in a plane by t-SNE (Fig. 2)
      features, detectors  semantic and TF-IDF features; SVM, LR, others (§IV-C1)
      tables               the paper's Tables II and III on the labelled data that are there
    explain              root-cause reports (§IV-C2, Fig. 5) of the groups that alerts reads
    review, review_page  what was labelled and why, to be looked at and corrected
    corrections          labels by people, from the review page into any later run
    simulated            a labeller that errs in a stated way, for measurement and tests

    labellers, asking    whom a command line may name: known labels, simulations, language models

Whom to ask is left to the caller: everything here takes a `labeller.LabelLines` or an
`explain.Ask`.
"""
