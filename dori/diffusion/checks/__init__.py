"""What is wrong with a model is said in one sentence, before any long work: a file for each kind of fault.

Most is known before a weight is read: the folder (``folder``), the files (``headers``), what the parts say
of themselves (``fit``, ``schedule``), tokenizer and prompts (``tokens``). ``sound`` looks at the weights.
"""
