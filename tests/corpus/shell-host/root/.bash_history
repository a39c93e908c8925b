ls /srv/prod
systemctl status nginx
cat /etc/shadow
kubectl get ns
