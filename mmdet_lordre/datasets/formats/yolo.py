"""YOLO segmentation: ``data.yaml``, and a text file of polygons for each image."""
import posixpath
from collections.abc import Iterator

from ...errors import UserError
from ...text import agree, listed, plural, printable, quoted
from .coco_data import Builder, CocoData
from .folder import IMAGES, Folder
from .options import Options, part_of
from .reading import read_text, read_yaml, yaml_keys
from .yolo_labels import has_image, label_folders, label_name

NAME = 'YOLO segmentation'
_SPLITS = {'train': ('train',), 'val': ('val', 'valid', 'validation'), 'test': ('test',)}
#: Lists of class names that lie beside labels without a data.yaml.
_NAME_LISTS = ('classes.txt', 'obj.names', '_darknet.labels', 'labels.txt')
#: Parts of an image are numbers from 0 to 1; tools write a little more at the border.
_SLACK = 0.01


def yaml_of(folder: Folder) -> str | None:
    """Name of the YAML file that describes the data set, if there is one.

    Raises:
        UserError: There are several.
    """
    found = []
    for name in folder.files('', ('.yaml', '.yml')):
        try:
            data = read_yaml(folder.join(name))
        except UserError:
            continue
        if ('names' in data or 'nc' in data) and any(key in data for keys in _SPLITS.values()
                                                     for key in keys):
            found.append(name)
    usual = [name for name in found if name.rsplit('.', 1)[0] in ('data', 'dataset')]
    found = usual or found
    if len(found) > 1:
        raise UserError(f'{folder.path} has several descriptions of YOLO data ({listed(found)}): '
                        'give one of these files')
    return found[0] if found else None


def recognize(folder: Folder) -> bool:
    """Whether a folder holds YOLO data with their description."""
    return yaml_of(folder) is not None


def recognize_text(folder: Folder) -> bool:
    """Whether a folder holds YOLO's text files without a description."""
    if not any(folder.is_file(name) for name in _NAME_LISTS):
        return any(folder.is_folder(place) and next(folder.walk(place, ('.txt',)), None)
                   for place in ('labels', 'train/labels'))
    return next((name for name in folder.walk('', ('.txt',)) if name not in _NAME_LISTS),
                None) is not None and next(folder.walk('', IMAGES), None) is not None


def read(folder: Folder, options: Options, file: str | None = None) -> dict[str, CocoData]:
    """The parts of a data set.

    Args:
        folder: That holds it.
        options: ``images`` is refused: images are found by YOLO's own rules.
        file: Name of the YAML file.

    Raises:
        UserError: It is no YOLO segmentation, or leads out of the folder.
    """
    if options.images is not None:
        raise UserError('the images of YOLO data are found beside their labels (images/ and '
                        'labels/): leave out the folder of images')
    return _Reader(folder, file or yaml_of(folder)).parts()


class _Reader:

    def __init__(self, folder, file):
        self.folder, self.file = folder, file
        self.path = folder.join(file or '')
        self.said = read_yaml(self.path) if file else {}
        if 'kpt_shape' in self.said:
            raise UserError(f'{self.path} describes poses (kpt_shape): key points have no masks; '
                            'export the data set for instance segmentation')
        self.names = self._names()
        self.builder = Builder(NAME, self.path, folder.path, self.names)
        if file and self.said.get('names') is None:
            self.builder.note(f'no names of classes: called {listed(self.names, 3)}')
        self.boxes = self.polygons = self.corners = 0

    def _names(self):
        names, count = self.said.get('names'), self.said.get('nc')
        if self.file is None:
            lists = [name for name in _NAME_LISTS if self.folder.is_file(name)]
            if not lists:
                raise UserError(f'{self.path} has YOLO labels but no names of classes: write them '
                                'into a file data.yaml (path, train, val, names)')
            text = read_text(self.folder.join(lists[0])).splitlines()
            names = [line.strip() for line in text if line.strip()]
        if names is None and type(count) is int and 0 < count < 10000:
            names = [f'class {number}' for number in range(count)]
        if isinstance(names, (list, dict)) and self.file is not None and 'names' in self.said:
            names = self._texts(names)
        if isinstance(names, dict):
            try:
                numbered = {int(key): value for key, value in names.items()}
            except (TypeError, ValueError):
                numbered = {}
            if sorted(numbered) != list(range(len(names))):
                raise UserError(f'{self.path}: names must be numbered 0, 1, 2, ...; they are '
                                f'{listed(names)}')
            names = [numbered[number] for number in range(len(numbered))]
        if not isinstance(names, list) or not names:
            raise UserError(f'{self.path}: names is no list of classes: {quoted(names)}')
        if type(count) is int and count != len(names):
            raise UserError(f'{self.path}: nc is {count}, but there '
                            f'{agree(len(names), "is", "are")} {plural(len(names), "name")}')
        names = [str(name) for name in names]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise UserError(f'{self.path}: two classes are called {quoted(twice[0])}')
        return names

    def _texts(self, names):
        """Names as they are written: YAML takes ``yes`` and ``1.0`` for truths and numbers."""
        for key, name in names.items() if isinstance(names, dict) else enumerate(names):
            if name is None or isinstance(name, (list, dict)):
                raise UserError(f'{self.path}: names: class {printable(key, 20)} has no name but '
                                f'{"null" if name is None else quoted(name, 60)}: write its name, '
                                'in quotes')
        keys = yaml_keys(self.path, 'names')
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise UserError(f'{self.path}: names: class {printable(twice, 20)} has several names: '
                            'number the classes 0, 1, 2, ...')
        return read_yaml(self.path, texts=True)['names']

    def parts(self):
        """Read all parts; one whose images are those of another is not read again."""
        read = {}
        for part, keys in _SPLITS.items():
            said = next((self.said[key] for key in keys if self.said.get(key)), None)
            entries = said if isinstance(said, list) else [said] if said else []
            if self.file is None:
                entries = self._places(part)
            names = dict.fromkeys(name for entry in entries for name in self._images(part, entry))
            same = next((other for other in read if names and read[other] == names.keys()), None)
            if same:
                self.builder.note(f'{part} names the images of {same}: read once, as {same}')
                continue
            read[part] = names.keys()
            alone = [name for name in names if not self._read_image(part, name)]
            if alone:
                self.builder.note(f'{plural(len(alone), "image")} without a label file taken as '
                                  f'images without objects ({printable(alone[0], 60)})', part)
        self._orphans(read)
        if 'train' not in self.builder.parts and self.file and not self.builder.parts:
            raise UserError(f'{self.path}: no images found under {quoted(self.said.get("train"))}; '
                            f'in {self.folder.path} there are {self.folder.sample()}')
        self._judge()
        return self.builder.finish()

    def _places(self, part):
        """Folders of images where no file names them."""
        tops = ['images'] if self.folder.is_folder('images') else ['']
        subs = [name for top in tops for name in self.folder.folders(top)
                if part_of(posixpath.basename(name))]
        subs = [name for name in subs if part_of(posixpath.basename(name)) == part] if subs else (
            tops if part == 'train' else [])
        return subs

    def _images(self, part, entry) -> Iterator[str]:
        name = self._resolve(str(entry), self.said.get('path'))
        if name is None:
            if part == 'train':
                self._refuse(entry)
            self.builder.note(f'{part}: {quoted(str(entry))} is not there')
            return
        said = str(entry).replace('\\', '/').removeprefix('./').rstrip('/')
        if not name.endswith(said) or '..' in said.split('/'):
            self.builder.note(f'{part}: {quoted(str(entry), 80)} read as {name}')
        if not self.folder.is_file(name):
            yield from self.folder.walk(name, IMAGES)
            return
        near, missing = posixpath.dirname(name), []
        for line in filter(None, map(str.strip, read_text(self.folder.join(name)).splitlines())):
            image = self._resolve(line, near) or self._resolve(line, self.said.get('path'))
            if image is None:
                missing.append(line)
            else:
                yield image
        if missing:
            self.builder.note(f'{part}: {plural(len(missing), "image")} of the list {name} not '
                              f'found ({printable(missing[0], 60)})')

    def _resolve(self, name, near):
        """A place that is said, within the folder: as it is said, or without what leads there."""
        near = str(near or '')
        whole = [self.folder.within(near) or '', '']
        for place in whole:
            found = self.folder.within(name, place)
            if found is not None and self.folder.kind(found):
                return self._checked(found)
        # the folder was somewhere else when this was written (Roboflow: ../train/images)
        words = [word for word in name.replace('\\', '/').split('/')
                 if word not in ('', '.', '..') and not word.endswith(':')]
        for start in range(len(words)):
            found = '/'.join(words[start:])
            if self.folder.kind(found):
                return self._checked(found)
        return None

    def _checked(self, name):
        self.folder.is_file(name)  # refuses a link that leads out
        return name

    def _refuse(self, entry):
        path = self.said.get('path')
        raise UserError(
            f'{self.path}: train is {quoted(str(entry), 120)}'
            + (f' under path {quoted(str(path), 120)}' if path else '')
            + f', which is not in {self.folder.path}; nothing outside of it is read: put the file '
            'into the folder that holds the images')

    def _label(self, image):
        """Name of the text file of an image, and whether it is there."""
        label, found = label_name(image)
        beside = f'{posixpath.splitext(image)[0]}.txt'
        if found and not self.folder.is_file(label) and self.folder.is_file(beside):
            return beside, True
        return label, self.folder.is_file(label)

    def _orphans(self, parts):
        """Count the text files that are read for no image, and say whether there is one."""
        labels = {part: {self._label(image)[0] for image in images}
                  for part, images in parts.items()}
        read = set().union(*labels.values())
        for part, of_part in labels.items():
            places = sorted({posixpath.dirname(label) for label in of_part})
            self._say_lost(f'{part}: ', 'as no list names', [
                name for place in places if self.folder.kind(place)
                and 'labels' in place.split('/')
                for name in self.folder.files(place, ('.txt',))], read)
        self._say_lost('', 'as train, val and test do not name', [
            name for place in label_folders(image for images in parts.values() for image in images)
            if self.folder.kind(place) == 'folder'
            for name in self.folder.walk(place, ('.txt',))], read)

    def _say_lost(self, where, reason, names, read):
        lost = [name for name in dict.fromkeys(names)
                if name not in read and posixpath.basename(name) not in _NAME_LISTS]
        read.update(lost)  # what parts share is said once
        owned = {name: has_image(name, self.folder) for name in lost}
        unlisted = [name for name in lost if owned[name]]
        alone = [name for name in lost if not owned[name]]
        if alone:
            self.builder.note(f'{where}{plural(len(alone), "label file")} without an image '
                              f'left out ({alone[0]})')
        if unlisted:
            count = len(unlisted)
            self.builder.note(f'{where}{plural(count, "label file")} left out, {reason} '
                              f'{agree(count, "its image", "their images")} ({unlisted[0]})')

    def _read_image(self, part, name):
        """Read an image and its label file; returns whether it has one."""
        image = self.builder.image(part, name)
        label, there = self._label(name)
        if not there:
            return False
        path = self.folder.join(label)
        for number, line in enumerate(read_text(path).splitlines(), 1):
            words = line.split()
            if words:
                self._read_line(part, image, words, f'{path}, line {number}')
        return True

    def _read_line(self, part, image, words, where):
        try:
            label, *numbers = map(float, words)
        except ValueError:
            raise UserError(f'{where}: {quoted(" ".join(words), 60)} is not a class and numbers') \
                from None
        if not 0 <= label < len(self.names) or label != int(label):
            raise UserError(f'{where}: class {words[0]}, but there '
                            f'{agree(len(self.names), "is", "are")} '
                            f'{plural(len(self.names), "name")}, counted from 0')
        if not all(-_SLACK <= number <= 1 + _SLACK for number in numbers):
            raise UserError(f'{where}: coordinates must be parts of the image, from 0 to 1; divide '
                            'x by its width and y by its height')
        name, width, height = self.names[int(label)], image['width'], image['height']
        if width is None:  # an image that cannot be read, which the check of the images names
            return
        if len(numbers) == 4:
            x, y, w, h = numbers
            self.boxes += 1
            self.builder.add(part, image, name, None, box=[
                (x - w / 2) * width, (y - h / 2) * height, w * width, h * height])
            return
        if len(numbers) % 2 or len(numbers) < 6:
            raise UserError(f'{where}: {plural(len(numbers), "number")} after the class: neither a '
                            'box (4) nor the corners of a polygon (6, 8, ...)')
        self.polygons += 1
        self.corners += len(numbers) == 8
        # as many digits as a place in an image has
        sides = (width, height) * (len(numbers) // 2)
        self.builder.add(part, image, name, [[round(number * side, 6) for number, side in
                                              zip(numbers, sides, strict=True)]])

    def _judge(self):
        """Say, or refuse, what is not for instance segmentation."""
        if self.boxes and not self.polygons:
            raise UserError(f'{self.path}: its {self.boxes} labels are boxes (class x y width '
                            'height): these are data for detectors; export the data set for '
                            'instance segmentation, or make masks from the boxes with a '
                            'segmentation model first')
        if self.boxes:
            self.builder.note(f'{plural(self.boxes, "object")} with a box and no mask')
        if self.polygons > 20 and self.corners == self.polygons:
            self.builder.note('every object has four corners: if they are turned boxes (OBB), '
                              'these are data for detectors, not masks')
