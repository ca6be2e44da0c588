#!/bin/sh -e
# Runs on this machine, and sees both ends of the relationship.
size=$(ctx source instance runtime-properties size)
ctx target instance runtime-properties "pages.$(ctx source node name)" "page.html, $size bytes"
