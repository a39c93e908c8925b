#!/bin/sh
echo "from a script" > managed/script
