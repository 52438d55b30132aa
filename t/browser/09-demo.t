# What `make run` shows: the page of this server does what it says.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Browser;
use Heartbeat::Process;
use Heartbeat::Test;
use Test::More;

my $output = workplace() . '/run.out';
my $run = Heartbeat::Process->spawn(command => ["$FindBin::Bin/../../tools/run"], env => { BUILD => $ENV{HEARTBEAT_BUILD} // 'build' }, output => $output);
ok(eventually(sub { Heartbeat::Server::slurp($output) =~ /^Ctrl-C/m || !$run->running }, 30), 'it starts');
my $said = Heartbeat::Server::slurp($output);
my %base = reverse $said =~ m{(http://\S+)/ +\((nginx|Apache)\)}g;
my $name = Heartbeat::Server::kind() eq 'nginx' ? 'nginx' : 'Apache';
in_browser('09-demo.mjs', undef, given => { base => $base{$name} // die("no address: $said\n"), name => $name });
$run->stop('TERM', 20);
unlike(Heartbeat::Server::slurp($output), qr/A server has ended|error/i, 'and ends');
done_testing;
