# What the script costs the page: next to no work.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Browser;
use Heartbeat::Test;
use Test::More;

my $server = site(pages => { '/page.html' => page('data-online="#who" data-refresh="1"', '<ul id="who"></ul>'), '/plain.html' => '<!doctype html><title>Plain</title><p>Another page.' });
in_browser('07-work.mjs', $server);
no_bad_log_lines();
done_testing;
