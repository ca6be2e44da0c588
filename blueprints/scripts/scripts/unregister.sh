#!/bin/sh -e
ctx target instance runtime-properties "pages.$(ctx source node name)" @null
