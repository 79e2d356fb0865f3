"""JSON of tools that is not read: who wrote it, and what to do."""
from ...errors import UserError
from ...text import printable
from ..coco_file import read_json_file
from .folder import Folder

#: Files that are looked at in a folder.
_LOOKS = 5
_TOOLS = {
    'VoTT': 'VoTT, in its own format: convert it to COCO (VoTT itself has no such export), or give '
            'the data in another format of docs/data.md',
    'Label Studio': 'Label Studio, in its own format: export the project as COCO, with its images',
    'Datumaro': 'Datumaro, or as such by CVAT: export it as COCO, or convert it: datum convert '
                '-if datumaro -i FOLDER -f coco_instances -o NEW_FOLDER'}


def tool_of(data: object) -> str | None:
    """The tool that wrote what a JSON file holds, by its keys; None where it is none of those."""
    if isinstance(data, list):
        first = data[0] if data else None
        tasks = first.get('annotations', first.get('completions')) if isinstance(first, dict) \
            else None
        if isinstance(tasks, list) and 'data' in first and all(
                isinstance(task, dict) and 'result' in task for task in tasks):
            return 'Label Studio'
    elif isinstance(data, dict):
        if isinstance(data.get('items'), list) and isinstance(data.get('categories'), dict):
            return 'Datumaro'
        if (isinstance(data.get('assets'), dict) and 'tags' in data) or (
                isinstance(data.get('asset'), dict) and 'regions' in data):
            return 'VoTT'
    return None


def refuse_other_tools(data: object, path: str) -> None:
    """Refuse what a tool wrote in a format of its own.

    Args:
        data: What a JSON file holds.
        path: Of the file.

    Raises:
        UserError: Saying which tool it was, and how to export what is read.
    """
    tool = tool_of(data)
    if tool is not None:
        raise UserError(f'{printable(path)} was written by {_TOOLS[tool]}')


def refuse_folders_of_other_tools(folder: Folder) -> None:
    """The same for a folder in which nothing else was found.

    Raises:
        UserError: One of the first files in it, or right in a folder of it, is such a file.
    """
    for place in ('', *folder.folders()):
        for name in folder.files(place, ('.json',))[:_LOOKS]:
            try:
                data = read_json_file(folder.join(name))
            except UserError:
                continue
            refuse_other_tools(data, folder.join(name))
