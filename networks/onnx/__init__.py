"""Models in the ONNX format: a graph in one file, and a card that says what goes in and out.

    model.onnx     the graph, with weights within or in files of its folder
    model.toml     its card (`networks.onnx.card`), or the same text among the graph's own metadata, as `card`
"""
