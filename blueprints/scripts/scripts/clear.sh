#!/bin/sh -e
rm -f /www/page.html
