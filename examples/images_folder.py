"""Images in a folder, one subfolder a class: photos/cat/1.jpg, photos/dog/2.jpg.

python examples/images_folder.py photos/ new_photos/
"""

import sys

import leadline as ll

photos, new_photos = sys.argv[1:]
run = ll.fit(photos, budget="5m")
print(run.verdict.why)
print(run.model.predict(new_photos))  # a folder of images with or without subfolders, or one image
print(run.report())
