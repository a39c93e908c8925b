//! SFTP (draft-ietf-secsh-filexfer-02) seen from between its two ends: requests become commands that are judged.
