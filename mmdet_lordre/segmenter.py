"""The short Python interface: a model that predicts, is evaluated and is exported."""
import dataclasses
import difflib
import inspect
import os
import re
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from .datasets.file_names import IMAGES_OPTIONS
from .devices import demand_device
from .errors import UserError
from .files import path_text
from .models import build_model, open_model
from .text import listed, plural, printable, quoted

if TYPE_CHECKING:
    from .prediction.result import Result
    from .prediction.settings import Settings
#: The process that has imported this; what is forked from it has another number.
_PROCESS = os.getpid()

#: Options of the commands whose arguments are called otherwise here, by method; the others are
#: called as they are.
_ARGUMENTS = {
    '__init__': {},
    'train': {'--train-ann': 'data', '--val-ann': 'val', '--family': 'families',
              IMAGES_OPTIONS: 'train_images / val_images'},
    'predict': {IMAGES_OPTIONS: 'images'},
    'evaluate': {'--train-ann and --val-ann': 'data', '--train-ann or --val-ann': 'data',
                 '--ann': 'data', '--eval': 'metrics', '--fp16': "half='fp16'",
                 '--bf16': "half='bf16'", IMAGES_OPTIONS: 'images'},
    'export': {'--fp16': 'half=True'},
}
#: Of every command; what a model is made with has it, whatever it does later.
_EVERYWHERE = {'--cfg-options': 'options'}


def argument_names(method: str) -> dict[str, str]:
    """What the options of a command are called here.

    Args:
        method: Of :class:`Segmenter`.

    Returns:
        By option, or by words that name several; what is not in it has no argument.
    """
    from .deployment.exporting import write_onnx
    from .planning.run import train_auto
    from .prediction.settings import Settings
    from .training.testing import Testing
    functions = [getattr(Segmenter, method)]
    functions += {'train': [train_auto], 'predict': [Settings], 'evaluate': [Testing],
                  'export': [write_onnx]}.get(method, [])
    names = {f'--{name.replace("_", "-")}': name + '=True' * isinstance(one.default, bool)
             for function in functions
             for name, one in inspect.signature(function).parameters.items()}
    return names | _EVERYWHERE | _ARGUMENTS[method]


def _in_python(method: str, text: str) -> str:
    """A message that names options of a command, with the arguments of a method in their place."""
    names = argument_names(method)
    words = '|'.join(map(re.escape, sorted(names, key=len, reverse=True)))
    # a command that is to be called has options of its own
    return re.sub(rf'\blordre [a-z-]+[^;:,.()]*|(?<![\w/.-])(?:{words})(?![\w/.-])',
                  lambda found: names.get(found[0], found[0]), text)


@contextmanager
def _arguments_named(method: str) -> Iterator[None]:
    """Within it errors name what was called."""
    try:
        yield
    except (UserError, KeyboardInterrupt) as error:
        if error.args and '--' in str(error.args[0]):
            error.args = (_in_python(method, str(error.args[0])), *error.args[1:])
        raise


class Segmenter:
    """A model that is ready for use.

    The commands call the same functions: ``lordre train --auto``, ``lordre predict``,
    ``lordre test`` and ``lordre export-onnx``.

    Args:
        model: A work folder (its best, else its last checkpoint), a checkpoint, the name of a
            model of the zoo, or a config file with ``checkpoint``.
        checkpoint: Of a config file.
        device: 'cpu', 'cuda:0', ...; a GPU when there is one.
        options: Values that override the config, by dotted key.

    Attributes:
        model: The detector, once it is needed.
        classes: Names of its classes.

    Raises:
        UserError: What is given cannot be found or read, or does not belong together.
    """

    @_arguments_named('__init__')
    def __init__(self, model: str | os.PathLike, checkpoint: str | os.PathLike | None = None,
                 device: str | None = None, options: dict | None = None):
        model = path_text(model, 'model')
        if checkpoint is not None:
            checkpoint = path_text(checkpoint, 'checkpoint')
        if options is not None and not (isinstance(options, Mapping)
                                        and all(isinstance(key, str) for key in options)):
            raise UserError(f'options: {quoted(options)} is no dictionary of values by dotted key, '
                            "such as {'model.test_cfg.score_thr': 0.1}")
        self.options = options
        self.model = build_model(model, checkpoint, device, options)
        # the same files are opened again to evaluate and to export, wherever the program is then,
        # and whatever a training has saved in a folder since
        found = os.path.abspath(self.model.checkpoint)
        self.source, self.checkpoint = (
            found if path is not None and os.path.isdir(path) else
            os.path.abspath(path) if path is not None and os.path.exists(path) else path
            for path in (model, checkpoint))

    @classmethod
    @_arguments_named('train')
    def train(cls, data: str | os.PathLike, *, val: str | os.PathLike | None = None,
              minutes: float | None = None, work_dir: str | os.PathLike | None = None,
              device: str | None = None, **options: Any) -> 'Segmenter':
        """A new model, fitted to data and trained: ``lordre train --auto``.

        Args:
            data: Annotations of any format, a file or a folder; one that holds a part to judge
                on is used as such.
            val: What to judge on; a part of the images is set aside if there is none.
            minutes: From here to the end; 30 on a CPU, 120 on a GPU, with ``resume`` those of the
                plan.
            work_dir: Of the run, ``work_dirs/auto`` or the next one that is free; it is the model.
            device: Where the trained model is put.
            **options: See :func:`~mmdet_lordre.planning.run.train_auto`.

        Returns:
            The best model of the training.

        Raises:
            UserError: Nothing can be learned from the data, or the minutes are too few.
        """
        from .datasets.formats import open_data
        from .planning.run import train_auto
        _demand_known('train', options, [name for name in inspect.signature(train_auto).parameters
                                         if name not in ('train_ann', 'val_ann', 'start')])
        demand_device(device)
        data = path_text(data, 'data')
        val = None if val is None else path_text(val, 'val')
        work_dir = None if work_dir is None else path_text(work_dir, 'work_dir')
        for name in ('train_images', 'val_images', 'pretrained'):
            if options.get(name) is not None:
                options[name] = path_text(options[name], name)
        whole = val is None and len(open_data(data, options.get('train_images'))) > 1
        say = options.pop('say', print)
        runner = train_auto(None if whole else data, val,
                            data=data if whole else None, minutes=minutes,
                            work_dir=work_dir,
                            say=lambda line: say(_in_python('train', line)), **options)
        runner.release()
        return cls(runner.work_dir, device=device)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels."""
        return tuple(self.model.dataset_meta.get('classes') or ())

    def __repr__(self) -> str:
        return (f'Segmenter: {type(self.model).__name__}, {plural(len(self.classes), "class")} '
                f'({listed(self.classes)}), from {printable(self.model.checkpoint)}')

    @_arguments_named('predict')
    def predict(self, source: Any, *, recursive: bool = False, images: str | None = None,
                strict: bool = False, keep_image: bool = False,
                **settings: Any) -> Iterator['Result']:
        """Results of pictures or frames, one after the other, in their order.

        Pictures are read while the network works, and no more of them are in memory than that
        takes, however many there are.

        Args:
            source: See :func:`~mmdet_lordre.prediction.sources.open_source`: an array (BGR, as
                OpenCV reads), a picture, a folder, a pattern, a list, a COCO file, or a list of
                these; films; or a camera: its number, or an address. A camera ends where the
                iterator is closed.
            recursive: Also folders in folders.
            images: Folder of the pictures of a COCO file.
            strict: Stop at a picture that cannot be read; otherwise it is named and passed over.
            keep_image: Results have the picture, too.
            **settings: See :class:`~mmdet_lordre.prediction.settings.Settings`: ``score_thr``,
                ``batch``, ``tile``, ``track=True``, ...

        Returns:
            An iterator; nothing is computed before the first result is asked for.

        Raises:
            UserError: Nothing can be read, or a setting is wrong.
        """
        from .prediction.cleanup import clean
        from .prediction.frames import demand_film
        from .prediction.sources import open_source
        from .prediction.tiles import open_stream
        from .prediction.tracking import tracked
        how = self._settings(settings)
        _one_thread_if_forked()
        given = open_source(source, recursive, images).every(how.every)
        demand_film(given, how, None, False, (1, 1))
        tracking = how.tracking
        stream = open_stream(self.model, how, keep_image or bool(tracking
                                                                 and tracking.appearance))
        results = stream.run(given, lambda result, picture: clean(result, how))
        if tracking is not None:
            results = tracked(results, tracking, how.lowest_scores(self.classes),
                              lambda film: float(given.film(film).rate) / given.step)
        return _usable(results, strict)

    __call__ = predict

    @staticmethod
    def _settings(settings: dict) -> 'Settings':
        from .prediction.settings import Settings
        _demand_known('predict', settings, Settings.names())
        return Settings(**settings)

    @_arguments_named('evaluate')
    def evaluate(self, data: str | os.PathLike | None = None, *, images: str | None = None,
                 metrics: str | Sequence[str] | None = None, work_dir: str | None = None,
                 **testing: Any) -> dict[str, float]:
        """Figures on annotated pictures.

        Args:
            data: Annotations of any format, a file or a folder; the test data of the config if not
                given.
            images: Folder of its pictures, sought near it if not given.
            metrics: What to evaluate, one or several; ``'segm'`` if not given.
            work_dir: Folder of the log; none is kept if not given.
            **testing: See :class:`~mmdet_lordre.training.testing.Testing`.

        Returns:
            Figures by name, such as ``coco/segm_mAP``.

        Raises:
            UserError: The data cannot be used.
        """
        from .training.testing import Testing, demand_test_data, run_test
        _demand_known('evaluate', testing, [field.name for field in dataclasses.fields(Testing)
                                            if field.name != 'ann'])
        if images is not None and data is None:
            raise UserError('evaluate: images is the folder of the pictures of data, which is not '
                            'given')
        data = None if data is None else path_text(data, 'data')
        _one_thread_if_forked()
        metrics = _metrics(metrics)
        opened = open_model(self.source, self.checkpoint, self.options)
        demand_test_data(opened.cfg, opened.config)
        if opened.cfg.get('visualizer'):
            # mmengine keeps one of a name for the whole process, and its folder with it
            opened.cfg.visualizer.update(name=f'evaluation-{uuid.uuid4().hex}', vis_backends=[])
        with tempfile.TemporaryDirectory() as folder:
            how = Testing(work_dir=work_dir or folder, metrics=metrics,
                          ann=data, images=images, **testing)
            return run_test(opened.cfg, opened.checkpoint, how, opened.weights)

    @_arguments_named('export')
    def export(self, path: str | os.PathLike, **options: Any) -> Any:
        """Write the model as an ONNX file that has scores, labels and masks as outputs.

        Args:
            path: The file.
            **options: See :func:`~mmdet_lordre.deployment.exporting.write_onnx`.

        Returns:
            How onnxruntime and PyTorch agree.

        Raises:
            UserError: Onnx is not installed, or the model cannot be exported.
        """
        from .deployment.exporting import write_onnx
        _demand_known('export', options, list(inspect.signature(write_onnx).parameters)[2:])
        path = path_text(path, 'path')
        if options.get('image') is not None:
            options['image'] = path_text(options['image'], 'image')
        model = build_model(self.source, self.checkpoint, 'cpu', self.options)
        say = options.pop('say', print)
        return write_onnx(model, path, say=lambda line: say(_in_python('export', line)),
                          **{'end_to_end': True, **options})


def _one_thread_if_forked():
    """OpenMP's threads are not there in a forked process, which would wait for them for ever."""
    if os.getpid() != _PROCESS and torch.get_num_threads() > 1:
        torch.set_num_threads(1)
        print('forked process: torch computes with one thread; to use more, start processes by '
              'spawn')


def _metrics(given):
    if given is None:
        return ('segm',)
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, Iterable) or not (names := tuple(names)):
        raise UserError(f'metrics: {quoted(given)} names no metric: give one or several, or leave '
                        'it out')
    return names


def _demand_known(method, given, known):
    """Refuse an option that a method does not have, by the name that was probably meant."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise UserError(f'{method} takes no {name!r}'
                            + (f' (did you mean {near[0]!r}?)' if near else '')
                            + f'; it takes {", ".join(known)}')


def _usable(results, strict):
    with _arguments_named('predict'):
        for result in results:
            if result.error is None:
                yield result
                continue
            line = f'{printable(result.path or result.name, 200)}: {result.error}'
            if strict:
                raise UserError(line)
            print(f'left out: {line}')
