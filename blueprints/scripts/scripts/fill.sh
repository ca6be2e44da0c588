#!/bin/sh -e
# Renders the page and puts it where the web server of this container finds it.
page=$(ctx download-resource-and-render templates/page.html)
mv "$page" /www/page.html
chmod 644 /www/page.html
ctx instance runtime-properties size "$(wc -c </www/page.html)"
ctx logger info "wrote /www/page.html"
