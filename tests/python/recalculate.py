"""Recalculates a workbook with a spreadsheet engine, after changing inputs: prints the summary's third column.

    recalculate.py WORKBOOK '{"/plant/capacity": 400}'
"""

import json
import sys

import formulas
import openpyxl

path, changes = sys.argv[1], json.loads(sys.argv[2])

# Text that another program would take for a formula is none of ours: every formula is one that we wrote.
book = openpyxl.load_workbook(path)
if changes:
    for row in book["Inputs"].iter_rows(min_row=2):
        if row[0].value in changes:
            row[1].value = changes.pop(row[0].value)
    assert not changes, f"no such inputs: {changes}"
    book.save(path)

names = {row[0].value: row[2].coordinate for row in book["Summary"].iter_rows(min_row=9) if row[2].value is not None}
cells = formulas.ExcelModel().loads(path).finish().calculate()
cells_by_name = {key.upper(): value for key, value in ((str(key), value) for key, value in cells.items())}


def value(coordinate):
    (cell,) = [value for key, value in cells_by_name.items() if key.endswith(f"]SUMMARY'!{coordinate}")]
    found = cell.value[0, 0]
    return found if isinstance(found, str) else float(found)


print(json.dumps({name: value(coordinate) for name, coordinate in names.items()}))
