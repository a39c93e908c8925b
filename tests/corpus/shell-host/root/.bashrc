case $- in
*i*) PS1='P# ' ;;
esac
