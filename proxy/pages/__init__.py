"""Pages for people: one stylesheet, one base template, and assets that browsers keep for a year.

To add a page:

1. Write a template in a folder `templates/` of your package, such as `proxy/ui/templates/jobs.html`. It begins with
   `{% extends "pages/templates/base.html" %}`, sets `title`, and fills the block `main`. Names of templates are paths
   below `proxy/`. Values are escaped, and a value that is missing is an error.
2. Name the files in `[tool.setuptools.package-data]` of `pyproject.toml`.
3. Write a route with `include_in_schema=False` that returns `pages.response("ui/templates/jobs.html", jobs=jobs)`.
   `Pages` is built once, in `proxy/app/asgi.py`, and is an argument of the function that makes the routes.
4. In templates, write addresses with `url("/jobs")`, which adds BASE_PATH, and never write a `style` attribute, a
   `<style>`, a script in the page or an `on…` attribute: the content security policy forbids them.

To add an asset (a script, a stylesheet, an icon): put the file in the folder `assets/` of your package, name that
folder in the `asset_folders` of `Pages`, and refer to it with `asset("ui/assets/upload.js")`. Its address contains the
hash of its bytes. Scripts are `<script type="module" src="…">` in the block `head`.

`assets/site.css` lists its classes at the top. `/schema` and `/problems` use most of them.
"""
