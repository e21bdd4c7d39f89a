"""Pictures of a league: what stands in them can be read."""

import matplotlib.pyplot as plt

from verify.league import picture


def test_the_longest_name_stands_within_the_figure():
    figure = plt.figure(figsize=(4, 2))
    axis = figure.add_axes((0.1, 0.1, 0.5, 0.5))
    for names in (["a", "b"], ["observations and climate alone, drawn anew", "b"]):
        axis.set_yticks(range(2), names)
        left = picture.beside_names(axis)
        axis.set_position((left, 0.1, 0.97 - left, 0.5))
        figure.draw_without_rendering()
        assert all(name.get_window_extent().x0 > 0 for name in axis.get_yticklabels())
    assert left > picture.LEFT
    plt.close(figure)
