"""What a study brings: tables, files of images and exports, choices, printed values.

Methods, and the modules of each sentence: "histopathological diagnosis of adult-type diffuse
glioma" (`dataset`, with `schemas`, `checks`, `delimited`, `workbook`, `metadata`, `pseudonyms`) /
"availability of pre-surgical MRI scans, and availability of digitalized hematoxylin and eosin
staining (H&E)" (`files`, with `names`, `text`, `derivatives`) / "The precise sampling site was
planned based on image-guided biopsy targets" (the targets of `schemas`). What the Methods leave
open is in `options`, what the Results print in `published`, what is said of an input in `errors`.
"""
