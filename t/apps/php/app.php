<?php
// An application with PHP's own sessions in Redis, for PHP's built-in server: /login?name=WORD, /who, /logout.
session_start();
if (str_starts_with($_SERVER['REQUEST_URI'], '/login')) {
    $_SESSION['name'] = $_GET['name'];
    $_SESSION['cart'] = ['apples' => 3, 'note' => "quotes \" ' and \0 bytes"];
}
if ($_SERVER['REQUEST_URI'] === '/logout') {
    session_destroy();
    exit('gone');
}
echo $_SESSION['name'] ?? 'nobody';
