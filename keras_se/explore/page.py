"""The page itself: where an image is dropped, the switches, and what they change."""

import dataclasses
from html import escape
from typing import TYPE_CHECKING

from keras_se.analysis.figures import blocks_to_show
from keras_se.explore.explorer import KINDS, Explorer
from keras_se.explore.sections import (
    classes_section,
    facts_section,
    gates_section,
    pictures_section,
)
from keras_se.explore.uploads import MOST_MEGABYTES, take_upload
from keras_se.image_files import FORMATS

if TYPE_CHECKING:
    import gradio
    import numpy as np

OWN, MEAN, OFF = KINDS
PREDICTED = "the predicted one"
HINT = f"<p>Drop an image of at most {MOST_MEGABYTES} MB: {', '.join(FORMATS)}.</p>"


@dataclasses.dataclass(frozen=True)
class Page:
    """What the page says, and what happens on it.

    Attributes:
        explorer: The `Explorer`.
        title: Its title.
        note: What is said below the title, such as that the network is untrained.
        facts: What is known of the network, by heads.
    """

    explorer: Explorer
    title: str
    note: str = ""
    facts: dict[str, str] = dataclasses.field(default_factory=dict)

    def opened(self, path: str, *choices) -> tuple:
        """Takes an uploaded file, and deletes it.

        Args:
            path: The file.
            *choices: As for `shown`.

        Returns:
            The pixels, `None` for an empty drop area, and what `shown` returns.
        """
        try:
            pixels = take_upload(path, self.explorer.preprocessing)
        except (ValueError, OSError) as error:
            return None, None, f"<p>{escape(str(error))}</p>", "", ""
        return pixels, None, *self.shown(pixels, *choices)

    def shown(self, pixels: "np.ndarray | None", class_name: str, off, mean, *kinds) -> tuple:
        """Lays out what the network makes of an image.

        Args:
            pixels: The image, or `None` before there is one.
            class_name: The class to explain, or `PREDICTED`.
            off: Names of blocks that are off.
            mean: Names of blocks that get their mean gates.
            *kinds: What the gates of each stage are, of `KINDS`.

        Returns:
            HTML of the classes, the pictures and the gates.
        """
        if pixels is None:
            return HINT, "", ""
        explorer, names = self.explorer, self.explorer.class_names
        index = None if class_name == PREDICTED else names.index(class_name)
        view = explorer.view(pixels, self.kinds(off, mean, kinds), index)
        return (
            classes_section(view, names),
            pictures_section(pixels, view, names),
            gates_section(view, explorer, blocks_to_show(explorer.stages)),
        )

    def kinds(self, off, mean, kinds) -> dict[str, int]:
        """What the gates of each block are replaced by: single blocks before their stage.

        Args:
            off: As for `shown`.
            mean: As for `shown`; a block that is off too is off.
            kinds: As for `shown`.
        """
        stages = self.explorer.stages
        of_stage = dict(zip(dict.fromkeys(stages.values()), kinds, strict=True))
        chosen = {name: of_stage[stage] for name, stage in stages.items()}
        chosen |= dict.fromkeys(mean or (), MEAN) | dict.fromkeys(off or (), OFF)
        return {name: KINDS[kind] for name, kind in chosen.items()}

    def build(self) -> "gradio.Blocks":
        """Lays the page out with Gradio."""
        import gradio

        with gradio.Blocks(title=self.title, analytics_enabled=False) as app:
            gradio.Markdown(f"# {self.title}\n\n{self.note}")
            pixels = gradio.State(None)
            with gradio.Row():
                with gradio.Column(scale=2, min_width=300):
                    file = gradio.File(label="Image", type="filepath", height=120)
                    classes = gradio.HTML(HINT)
                    pictures = gradio.HTML()
                    choices = self._choices(gradio)
                with gradio.Column(scale=3, min_width=300):
                    gates = gradio.HTML()
            gradio.HTML(facts_section(self.explorer, self.facts))
            shown = [classes, pictures, gates]
            once = {"api_visibility": "private", "concurrency_limit": 1}
            file.upload(self.opened, [file, *choices], [pixels, file, *shown], **once)
            changes = [choice.change for choice in choices]
            gradio.on(changes, self.shown, [pixels, *choices], shown, **once)
        return app

    def _choices(self, gradio):
        """The class to explain, single blocks, and a switch for each stage."""
        stages = self.explorer.stages
        names = [PREDICTED, *dict.fromkeys(self.explorer.class_names)]
        switches = [
            gradio.Radio(list(KINDS), value=OWN, label=f"Stage {stage}")
            for stage in dict.fromkeys(stages.values())
        ]
        with gradio.Accordion("Single blocks", open=False, visible=bool(stages)):
            off = gradio.Dropdown(list(stages), multiselect=True, label="Off (gates of one)")
            mean = gradio.Dropdown(list(stages), multiselect=True, label="With their mean gates")
        explained = gradio.Dropdown(names, value=PREDICTED, label="Class to explain")
        return [explained, off, mean, *switches]
